/* vlmfreeze source-hash: 4ef490790d0fe6cefe282fbbeac056be128694b23843b8ae3ccfeeb56914386a */
var t={initialize:()=>{}},e=t;export{e as default};
