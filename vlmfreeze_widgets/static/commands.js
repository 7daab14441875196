/* vlmfreeze source-hash: dae1344e47f7c6e52a10bed6cd4c706331297182f3182ae8cfd997a81fa4c9d8 */
var t={initialize:()=>{}},e=t;export{e as default};
