/* vlmfreeze source-hash: 06e607b20e40612ae0b03e3286d3cc47c0e8c55a2958583204764cdef617de37 */
var t={initialize:()=>{}},e=t;export{e as default};
