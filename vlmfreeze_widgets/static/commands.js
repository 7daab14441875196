/* vlmfreeze source-hash: b5f603858600a24dc5fee0d0f7be1f3ba4cc5d083e19ade22479060314deef26 */
var t={initialize:()=>{}},e=t;export{e as default};
