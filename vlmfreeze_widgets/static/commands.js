/* vlmfreeze source-hash: 920fc193e38dbd00da9e262419985c327a4bae5e0f959d484ec0f25347af05c4 */
var e={initialize:()=>{}},t=e;export{t as default};
