/* vlmfreeze source-hash: c5d48c123e1200a24f35dc4b84786f2646cc50b243d14cf5900d6f62f3322bf4 */
var t={initialize:()=>{}},e=t;export{e as default};
