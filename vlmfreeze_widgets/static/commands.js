/* vlmfreeze source-hash: 6f9de44dd8bdc374bf670aea8f178e0d19f4aaf8500ac488f09c89ed566166f5 */
var t={initialize:()=>{}},e=t;export{e as default};
