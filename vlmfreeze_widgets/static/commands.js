/* vlmfreeze source-hash: 9c3dca78181e09227eabf0bcd28c746d363b98b676f6b21e60e6929a992655e3 */
var t={initialize:()=>{}},e=t;export{e as default};
