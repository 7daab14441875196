/* vlmfreeze source-hash: 80522aa59802b0e4a4751440047f4ab748d067569e42e10115f4f9e77f73fd7c */
var e={initialize:()=>{}},t=e;export{t as default};
