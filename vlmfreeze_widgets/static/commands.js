/* vlmfreeze source-hash: cd83c95387dcc8b2a4ecacf64e7f34914c3792126b1d8cd0314b28249f4d7823 */
var e={initialize:()=>{}},t=e;export{t as default};
