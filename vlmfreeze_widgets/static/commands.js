/* vlmfreeze source-hash: 36c31efb7168c9d7645a7100d1121d0eefbe7ec91fd7bd233e71329d30ae6b20 */
var t={initialize:()=>{}},e=t;export{e as default};
