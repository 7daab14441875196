/* vlmfreeze source-hash: a3b8033c414605b72c702004296420eeecd8610bcac723da08dfbcc417bc6b48 */
var e={initialize:()=>{}},t=e;export{t as default};
