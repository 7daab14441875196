/* vlmfreeze source-hash: 8ac37d521991c14f6e0616df52b6c2c85c41978badc6fe7ccc78f9b6a6597b93 */
var t={initialize:()=>{}},e=t;export{e as default};
