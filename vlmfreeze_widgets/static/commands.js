/* vlmfreeze source-hash: 414f65f403c612a695a6e86ba188a3ffc4d0be62852ab2d3592711f3d44d3f9a */
var e={initialize:()=>{}},t=e;export{t as default};
