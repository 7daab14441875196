/* vlmfreeze source-hash: bfc8fd49b136ed3c9ebfa776c71aa0a7644c60bff59f6c7e51615fa51b0ee1ec */
var t={initialize:()=>{}},e=t;export{e as default};
