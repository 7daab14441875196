/* vlmfreeze source-hash: 0046a97d2a4c3a1bcd74e8184715e3f90c4f2c6cc794a6deaedcf18af664155a */
var t={initialize:()=>{}},e=t;export{e as default};
