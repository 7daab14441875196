/* vlmfreeze source-hash: c819cf462e5fff4557bf3c355c185d714767a2e4471106f3d12f8f23bbc316bf */
var t={initialize:()=>{}},e=t;export{e as default};
