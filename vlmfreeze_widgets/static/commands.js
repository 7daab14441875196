/* vlmfreeze source-hash: 4fa76ecc547adbe6176b44026da3966b4972d5f95a4afde5ae211af90de7644f */
var t={initialize:()=>{}},e=t;export{e as default};
