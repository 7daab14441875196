/* vlmfreeze source-hash: 486847f2d96d277f7072de0f4a8fc86969eefdb79e78f35879731fa06e37f041 */
var e={initialize:()=>{}},t=e;export{t as default};
