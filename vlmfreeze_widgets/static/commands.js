/* vlmfreeze source-hash: 7e3d9abc8743c755cc067c23cacb7ff910229826ba8930c35aed4bbfdd29216a */
var t={initialize:()=>{}},e=t;export{e as default};
