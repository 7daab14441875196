/* vlmfreeze source-hash: 3f2fb2e743f82c0a203bdcc87a6940938c6c5f040b57f4f942a81d92594e5021 */
var t={initialize:()=>{}},e=t;export{e as default};
