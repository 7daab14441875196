/* vlmfreeze source-hash: c2501ead2dd32e6bbbd894db62166c75efac2a46d40cc42377a64fc67163cea3 */
var e={initialize:()=>{}},t=e;export{t as default};
