/* vlmfreeze source-hash: 68f6b79d56a9828b44f45854ce9625163aa517eb76d33ea7610399e9bf21edb4 */
var t={initialize:()=>{}},e=t;export{e as default};
