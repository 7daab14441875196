/* vlmfreeze source-hash: 1de000ba6601bcb277fd64e01c57476719bef7658665face9520652c4ea7a30f */
var t={initialize:()=>{}},e=t;export{e as default};
