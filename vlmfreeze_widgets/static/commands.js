/* vlmfreeze source-hash: e9d4062c709e376042cee7b7c97e9f8ff2690d59d0c99fb3667479d850d8f743 */
var t={initialize:()=>{}},e=t;export{e as default};
