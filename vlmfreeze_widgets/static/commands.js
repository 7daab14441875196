/* vlmfreeze source-hash: 1cf961d3ed8fb95243d22f466f5b341cabb21dd5603833729e87d20c24d40fa1 */
var t={initialize:()=>{}},e=t;export{e as default};
