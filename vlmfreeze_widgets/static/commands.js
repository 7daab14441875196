/* vlmfreeze source-hash: 45ba29c85a0cfb8e6357182d058aa9898a5481fa967e06e98108c9688976524c */
var t={initialize:()=>{}},e=t;export{e as default};
