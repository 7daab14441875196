<<<<<<< HEAD
/* vlmfreeze source-hash: 68f6b79d56a9828b44f45854ce9625163aa517eb76d33ea7610399e9bf21edb4 */
=======
/* vlmfreeze source-hash: b41a04ff6a5d6ed0b0c4b602379c9b05b674acf32ad72ac4633f13ff51425b3d */
>>>>>>> main
var t={initialize:()=>{}},e=t;export{e as default};
