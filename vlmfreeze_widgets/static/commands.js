/* vlmfreeze source-hash: ed4e75976faae71b3955841f8a3daf67300d6099ce78e466b1ece930389a2320 */
var t={initialize:()=>{}},e=t;export{e as default};
