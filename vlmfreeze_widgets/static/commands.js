/* vlmfreeze source-hash: 2ca2f0b8bb85b4749b8cded1cbb3b6adc12b71cb4cf5fa6162ad922730a96ca8 */
var e={initialize:()=>{}},t=e;export{t as default};
