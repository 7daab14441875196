/* vlmfreeze source-hash: adabb7ec8ce2aae76056b3e645aa8da2ee26cc243c97dca61e747d7d8e489400 */
var t={initialize:()=>{}},e=t;export{e as default};
