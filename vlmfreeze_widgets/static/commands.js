/* vlmfreeze source-hash: 4e448b6f047d4aef49af4df7fc3e231a581bbde7ead964a2f093120b94f693fc */
var t={initialize:()=>{}},e=t;export{e as default};
