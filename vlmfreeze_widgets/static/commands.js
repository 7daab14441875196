/* vlmfreeze source-hash: 85245c4071dbc7a3b68b2fe4b9c9a6be04857914942edeb3c575e6f0fa8eac63 */
var t={initialize:()=>{}},e=t;export{e as default};
