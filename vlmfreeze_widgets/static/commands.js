/* vlmfreeze source-hash: 80078a0d3d81bec05f304b0ba6216a2cf0c2d2fd79ed2f69358e95144b79e51e */
var t={initialize:()=>{}},e=t;export{e as default};
