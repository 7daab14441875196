/* vlmfreeze source-hash: a88b9b780332063222586383056c0d92cfbb9400d7020c6fa8a94799d07affae */
var t={initialize:()=>{}},e=t;export{e as default};
