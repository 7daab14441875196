/* vlmfreeze source-hash: fb2f837d75c15004a63df664a972101cc2bfc11514a50fc22348678a19bac24a */
var t={initialize:()=>{}},e=t;export{e as default};
