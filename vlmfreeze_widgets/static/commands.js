/* vlmfreeze source-hash: a47f7680c258c97bb69c31d6f263704aa94a0f0fae266a66402be91c7d947ac6 */
var t={initialize:()=>{}},e=t;export{e as default};
