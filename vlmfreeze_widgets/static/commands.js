/* vlmfreeze source-hash: 4d3b7e8bad677c70610fe8da00082ee1779c683788877efffeb590f4d4c22037 */
var t={initialize:()=>{}},e=t;export{e as default};
