/* vlmfreeze source-hash: e8e3d6a78b922b731b86c5a170d174b5e8c007b3002a89bd6ec0bd7d97070892 */
var e={initialize:()=>{}},t=e;export{t as default};
