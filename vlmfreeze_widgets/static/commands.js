/* vlmfreeze source-hash: 20a36b5c50370971d256fc5c7c1d1d18a236b89a0a4caa8b7fca7bcaa80eb7be */
var t={initialize:()=>{}},e=t;export{e as default};
