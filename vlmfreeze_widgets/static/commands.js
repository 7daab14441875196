/* vlmfreeze source-hash: 01b1f1825890677ebaec961b1e6e1440d149ca30bc60846020d6e75f280bd465 */
var t={initialize:()=>{}},e=t;export{e as default};
