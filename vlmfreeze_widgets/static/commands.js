/* vlmfreeze source-hash: 46f54de2dbe414b2cab60745d13b750ae4537009e94ffb416b2e582db09afc31 */
var t={initialize:()=>{}},e=t;export{e as default};
