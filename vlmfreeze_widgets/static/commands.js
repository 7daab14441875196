/* vlmfreeze source-hash: 6efaa291af78182e5a815ae136dead36c663158c51404d0f625b56739e938dd3 */
var t={initialize:()=>{}},e=t;export{e as default};
