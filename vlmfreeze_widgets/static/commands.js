/* vlmfreeze source-hash: 2b234d2ea9cdaa32f54290a9843133b38d39e9d52633de56ff8857f01f7ea136 */
var t={initialize:()=>{}},e=t;export{e as default};
