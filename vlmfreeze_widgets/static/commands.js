/* vlmfreeze source-hash: ef81ddb3561cbeb9456679029e3196e07fa2f6e5f796713c5ea0d0a1c2ab28b9 */
var e={initialize:()=>{}},t=e;export{t as default};
