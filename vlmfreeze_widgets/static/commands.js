/* vlmfreeze source-hash: b01e55ce87c59a12e1d9de649189e113feadf6e87bcea810e4d132aa61311e56 */
var t={initialize:()=>{}},e=t;export{e as default};
