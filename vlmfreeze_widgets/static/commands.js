/* vlmfreeze source-hash: 8c60cdc3e009a9f08faaf0a17f1b9ffaada62f179018afffda2776a06773521f */
var t={initialize:()=>{}},e=t;export{e as default};
