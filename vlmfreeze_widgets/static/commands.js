/* vlmfreeze source-hash: 066e3c11544dc3f9e8eeea3fcea24ace08578e095b4e44836fbe5faafd560b4f */
var t={initialize:()=>{}},e=t;export{e as default};
