/* vlmfreeze source-hash: ea5e0f917d75ee117723d331e12e011391848d5df77f80aab9fea18f20abed73 */
var t={initialize:()=>{}},e=t;export{e as default};
