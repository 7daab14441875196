/* vlmfreeze source-hash: a9fd1cb20c18e058a2b799a12020372c8b379f66b16a0d65136d8ad9e4c51dc8 */
var t={initialize:()=>{}},e=t;export{e as default};
