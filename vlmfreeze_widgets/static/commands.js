/* vlmfreeze source-hash: 114e2cde241774f62b5bfd78684e0266593b618d8f8a060e37cefaccb4853145 */
var t={initialize:()=>{}},e=t;export{e as default};
