/* vlmfreeze source-hash: b41a04ff6a5d6ed0b0c4b602379c9b05b674acf32ad72ac4633f13ff51425b3d */
var t={initialize:()=>{}},e=t;export{e as default};
