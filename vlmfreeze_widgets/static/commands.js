/* vlmfreeze source-hash: 42a3e6754701e56762a9378509e54e539372c6d04acff963143de5b96e683c71 */
var t={initialize:()=>{}},e=t;export{e as default};
