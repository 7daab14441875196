/* vlmfreeze source-hash: 9d712954167a1806d02270b74f6c46a8b308713d9147f4b900ec3b736398f86a */
var t={initialize:()=>{}},e=t;export{e as default};
