/* vlmfreeze source-hash: 8e00c2945925ec5e8761f646e10227dd5335ab7fb10013dc325021aca573cb08 */
var t={initialize:()=>{}},e=t;export{e as default};
