/* vlmfreeze source-hash: 421bd87185a942571bf76b72e8e4dc65042ca8d626b00c2b14127890a226abc2 */
var t={initialize:()=>{}},e=t;export{e as default};
