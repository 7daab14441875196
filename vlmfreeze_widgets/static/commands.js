/* vlmfreeze source-hash: b01dc4b1ba42a9fa591453972ff1ffc16989816f0c370ece3ade35522f1b1480 */
var t={initialize:()=>{}},e=t;export{e as default};
