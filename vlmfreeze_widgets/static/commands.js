/* vlmfreeze source-hash: a1ba2e5b0c6b5731538492541a45012e61d207018d1bfc2804cbfa95b19f3f72 */
var t={initialize:()=>{}},e=t;export{e as default};
