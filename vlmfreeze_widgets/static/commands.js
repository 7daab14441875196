/* vlmfreeze source-hash: ac7353a972797d8d1c8047acf986919de30fa9aab2ac3e745e4889c18db73524 */
var t={initialize:()=>{}},e=t;export{e as default};
