/* vlmfreeze source-hash: 69778658c9d19d8fa8c303ec8595cb7a3bc8138a2a87d18922c22fb1f0fc9cc1 */
var t={initialize:()=>{}},e=t;export{e as default};
