/* vlmfreeze source-hash: e5e6a6ca84ae867b8c251cb8fea03e50c4a11c34a8e9005879b7d17b04898024 */
var t={initialize:()=>{}},e=t;export{e as default};
