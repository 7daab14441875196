/* vlmfreeze source-hash: de562c8148205e657b4116dfcd199ae9e210c14b00f4fbb8080929bdc33318e7 */
var t={initialize:()=>{}},e=t;export{e as default};
