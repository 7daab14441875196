/* vlmfreeze source-hash: 02a25e738553e553fd22d8005b9ee4edee7a043bd9b2ba217d1f636e76da6d80 */
var t={initialize:()=>{}},e=t;export{e as default};
