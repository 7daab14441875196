/* vlmfreeze source-hash: c8f116654093a475cd77a116aa9455900d0dda63fff0a2575bb9329937e9ea2f */
var t={initialize:()=>{}},e=t;export{e as default};
