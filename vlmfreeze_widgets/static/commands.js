/* vlmfreeze source-hash: 715462cad9f271d5dcdc79b280ed25080cb95e1380318f9f9db438ef5e7c063b */
var t={initialize:()=>{}},e=t;export{e as default};
