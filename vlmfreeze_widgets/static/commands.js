/* vlmfreeze source-hash: 19be1bb44e858972cc03f02d06cd58fca4356581157b645ea1c83743ae7cba7f */
var t={initialize:()=>{}},e=t;export{e as default};
