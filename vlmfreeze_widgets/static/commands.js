/* vlmfreeze source-hash: 6fcb2660f13251a6566f934e93340072dd71d1fef59a7e316830c441bd7b5a2a */
var t={initialize:()=>{}},e=t;export{e as default};
