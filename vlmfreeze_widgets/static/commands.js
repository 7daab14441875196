/* vlmfreeze source-hash: 6386f0f8d322dbf1ee67fdd47a01c5e89533ba0435bf9e3a03534c9bd38e6bfd */
var t={initialize:()=>{}},e=t;export{e as default};
