/* vlmfreeze source-hash: 35af56e928087ac0a730c32a98452f0854cad35e8f035a2a4cd18138ce6ad90a */
var t={initialize:()=>{}},e=t;export{e as default};
