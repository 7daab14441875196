/* vlmfreeze source-hash: c2d616dede2225efe4924a9b55aa66bbac6b2133b452f21965e821088786e353 */
var e={initialize:()=>{}},t=e;export{t as default};
