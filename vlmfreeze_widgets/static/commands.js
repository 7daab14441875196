/* vlmfreeze source-hash: 75c87cc27e1b9f7abd094e186c35b4db321677744e81fa9144bf15ad28da0b00 */
var t={initialize:()=>{}},e=t;export{e as default};
