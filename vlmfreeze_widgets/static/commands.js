/* vlmfreeze source-hash: 25d0dd10e71635319eccc2eee1e4cfa7b0d9b5af4a3e3923e1bd301627a0587b */
var t={initialize:()=>{}},e=t;export{e as default};
