/* vlmfreeze source-hash: d0c050b09b2ddf1fb3427148d7e153d2c7f987ad9762c2be08573969ea0dbaba */
var t={initialize:()=>{}},e=t;export{e as default};
