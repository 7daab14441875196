/* vlmfreeze source-hash: 4f41d77175ea9af4afbe315071e44f845f4375fdd8c5e1c2f37e6f00051a5df2 */
var t={initialize:()=>{}},e=t;export{e as default};
