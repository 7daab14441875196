/* vlmfreeze source-hash: 1368175d757dc81cc2c9dba0d625ccee0b73014ca310e8106bf0031e2006c65e */
var t={initialize:()=>{}},e=t;export{e as default};
