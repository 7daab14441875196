/* vlmfreeze source-hash: 3799c8b05d54eab3c783a8c4921b38c22f097e8900679a07502ac57c45673ba7 */
var t={initialize:()=>{}},e=t;export{e as default};
