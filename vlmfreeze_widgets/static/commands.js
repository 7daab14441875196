/* vlmfreeze source-hash: 1e1f4b8dab0c4e816517691605d9b29fc64b71db5bc650046456761df6a61b56 */
var t={initialize:()=>{}},e=t;export{e as default};
