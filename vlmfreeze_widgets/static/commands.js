/* vlmfreeze source-hash: dcc951be804e00407047ab35da948a7b60294c755f556ed0e92478a1e7b898e7 */
var t={initialize:()=>{}},e=t;export{e as default};
