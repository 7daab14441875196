/* vlmfreeze source-hash: ffd4fa93b08930f7eee3054c166d23e47330772ff8a3b5d5de09c55d7cdfd322 */
var t={initialize:()=>{}},e=t;export{e as default};
