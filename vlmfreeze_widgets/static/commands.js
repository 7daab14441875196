/* vlmfreeze source-hash: 9c4b21190cce3e9fef648ac2006d39a4471f8aa4f6f760dfcdee5eb07060f56d */
var t={initialize:()=>{}},e=t;export{e as default};
