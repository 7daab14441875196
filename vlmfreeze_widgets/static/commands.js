/* vlmfreeze source-hash: 10a18b29b916cf8ab70ad8867e138a8d27d5a77021a81d9d695f9f6cdbda4055 */
var t={initialize:()=>{}},e=t;export{e as default};
