/* vlmfreeze source-hash: 8dd123273078f9694de9793bce8eebf8eeb85511942e76dd10433b81080e73f7 */
var t={initialize:()=>{}},e=t;export{e as default};
