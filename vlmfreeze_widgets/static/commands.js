/* vlmfreeze source-hash: 65be37a884958e8c27aa328a057ffaebd8da36ca88fba884bb9a31a15d4e1748 */
var t={initialize:()=>{}},e=t;export{e as default};
