/* vlmfreeze source-hash: d2703227224f2bbb6ef01f1e4c1045c34cb3054b790028b7c17a4aa9ff2e1ab6 */
var t={initialize:()=>{}},e=t;export{e as default};
