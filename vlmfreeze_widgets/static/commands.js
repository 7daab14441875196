/* vlmfreeze source-hash: 197bcf3065233a56caabff85d60ce4faa632c9576a300a65945a64df13c681aa */
var t={initialize:()=>{}},e=t;export{e as default};
