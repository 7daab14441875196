/* vlmfreeze source-hash: 62d3a6bd5c787346d15e6844a1f5be47ee6d0e94819fbd192e624b0312b46a5c */
var t={initialize:()=>{}},e=t;export{e as default};
