/* vlmfreeze source-hash: 99bdcd108be40e671f298c93ba77b1f4fa60fc87c4ca28ab57da25a3b8580f6a */
var t={initialize:()=>{}},e=t;export{e as default};
