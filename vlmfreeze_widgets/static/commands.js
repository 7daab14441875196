/* vlmfreeze source-hash: 3fae6c2a53af79b46b1ef586106e6ba245107341baa99e95c54c02a929ba9a8e */
var t={initialize:()=>{}},e=t;export{e as default};
