/* vlmfreeze source-hash: a08eb8c14905ddfe37e65e7d384a83e7c0ec08150c0a797288eaad7f363de635 */
var t={initialize:()=>{}},e=t;export{e as default};
