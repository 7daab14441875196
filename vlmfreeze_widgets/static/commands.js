/* vlmfreeze source-hash: 8a979bd24b2efb30df81e3547b112fceb218e573e2d074dc8ee65b0a4ed3c29a */
var t={initialize:()=>{}},e=t;export{e as default};
