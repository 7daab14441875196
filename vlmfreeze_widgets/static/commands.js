/* vlmfreeze source-hash: 046416a6f4ba1a67f6c277892dd597f215b993ce58ef8ad343255deedce7f15a */
var t={initialize:()=>{}},e=t;export{e as default};
