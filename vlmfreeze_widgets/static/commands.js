/* vlmfreeze source-hash: ea490f5f82a1555b3504c8edf795ce5ad70a8434f2caca517f94603591242723 */
var t={initialize:()=>{}},e=t;export{e as default};
