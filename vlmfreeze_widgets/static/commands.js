/* vlmfreeze source-hash: a553b42ce9e66c4d7da5b64c9bad6fdec85ef048aa48ddaf26f42f797c955402 */
var t={initialize:()=>{}},e=t;export{e as default};
