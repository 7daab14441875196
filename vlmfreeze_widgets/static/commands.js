/* vlmfreeze source-hash: bd1efdcee72b879a52d38c5e887ad52a13f3a33e145c844d8c093f4de9ed0e22 */
var t={initialize:()=>{}},e=t;export{e as default};
