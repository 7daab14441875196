/* vlmfreeze source-hash: 6754972526eddeb8f237b3977318bdc7a7d55f402c84014107d26f8ae596a392 */
var t={initialize:()=>{}},e=t;export{e as default};
