/* vlmfreeze source-hash: 89295ee4c185c2b291b724c9e0517c356a574f58629b91497ea2af0597cc87e9 */
var e={initialize:()=>{}},t=e;export{t as default};
