/* vlmfreeze source-hash: 47ab9b6534d5bff87909ea83a6febe1194f8a42b6d1822520ceb56ea3c49691e */
var t={initialize:()=>{}},e=t;export{e as default};
