/* vlmfreeze source-hash: cc1c8d0c6737dd75c671c92a9313925475af0de7168333fa0b51e9ac7565466f */
var t={initialize:()=>{}},e=t;export{e as default};
