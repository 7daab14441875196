/* vlmfreeze source-hash: 36d717480c92a51997ca28e517de28f2e255f168ae31e183d3441479e8bbd3b6 */
var t={initialize:()=>{}},e=t;export{e as default};
