/* vlmfreeze source-hash: 94c42f3109ae41c007d6a3204e75bd7c1761e2d4e5b6bb029ceab81ff3e3d266 */
var t={initialize:()=>{}},e=t;export{e as default};
