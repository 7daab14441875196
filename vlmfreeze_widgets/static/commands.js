/* vlmfreeze source-hash: f45097fb8b8e2f8aeb4c928ff6c871a013198a6e86889fe64a201ae6ce932f2e */
var t={initialize:()=>{}},e=t;export{e as default};
