/* vlmfreeze source-hash: 8f10e7080f4c5d07f067916423706dc6a7762cdedc3fcb84e06c98895d785a7b */
var t={initialize:()=>{}},e=t;export{e as default};
