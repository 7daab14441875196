/* vlmfreeze source-hash: f9629948672c96b5678e613a72d21a9eba2a75b07f958c7b94b1b043321b4de6 */
var t={initialize:()=>{}},e=t;export{e as default};
