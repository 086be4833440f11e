var p,jt,ot,z,tt,Ne,Ht,Ae,Ut,rt,nt,Un,ve=Symbol.for("pv"),je={},He=[],On=/^m(i|n|o|s|text|space)$/,it=Array.isArray,st=He.slice,ne=Object.assign;function te(e){
e&&e.parentNode&&e.remove()}function Ot(e,t,n){var o,i,r,s={},a=arguments.length;for(r in t)r=="key"?o=t[r]:r=="ref"&&typeof e!="function"?i=t[r]:s[r]=t[r];return a>
2&&(s.children=a>3?st.call(arguments,2):n),de(e,s,o,i,null)}function de(e,t,n,o,i){var r={type:e,props:t,key:n,ref:o,__k:null,__:null,__b:0,__e:null,__c:null,constructor:ve,__v:i||++jt,__i:-1,__u:0};return!i&&p.vnode&&p.
vnode(r),r}function N(e){return e.children}function re(e,t){this.props=e,this.context=t,this.__g=0}function G(e,t){if(t==null)return e.__&&G(e.__,e.__i+1);for(var n;t<e.__k.
length;t++)if((n=e.__k[t])&&n.__e)return n.__e;return typeof e.type!="function"||e.props.__P?null:G(e)}function Fn(e){var t,n=e.__v,o=n.__e,i=[],r=[],s=e.__P;s&&
((t=ne({constructor:ve},n)).__v=n.__v+1,p.vnode&&p.vnode(t),at(s,t,n,e.__n,s.namespaceURI,32&n.__u?[o]:null,i,o||G(n),32&n.__u,r),t.__v=n.__v,t.__.__k[t.__i]=t,
Kt(i,t,r),n.__=n.__e=null,t.__e!=o&&Ft(t))}function Ft(e){if((e=e.__)&&e.__c&&!e.props.__P)return e.__e=null,e.__k.some(function(t){return t&&(e.__e=t.__e)}),Ft(
e)}function Dt(e){(8&e.__g||(e.__g|=8,z.push(e),Ne++))&&tt==p.debounceRendering||((tt=p.debounceRendering)||queueMicrotask)(qt)}function qt(){try{for(var e,t=1;z.
length;)z.length>t&&z.sort(Ht),e=z.shift(),t=z.length,8&e.__g&&Fn(e)}finally{(Ne=z.length)&&(tt||queueMicrotask)(qt)}}function It(e,t,n,o,i,r,s,a,_,f,c){var y,m,
l,d,C,g,k=o.__k||He,v=t.length;for(_=qn(n,t,k,_,v),y=0;y<v;y++)(l=n.__k[y])!=null&&(m=~l.__i&&k[l.__i]||je,l.__i=y,g=at(e,l,m,i,r,s,a,_,f,c),d=l.__e,(m.ref!=l.ref||
8&m.__u)&&(m.ref&&ut(m.ref,null,l,m),l.ref&&c.push(l.ref,l.__c||d,l)),C=C||d,4&l.__u?(_=Lt(l,_,e,!m.__v),m.__e&&(m.__e=null)):typeof l.type=="function"&&g!==void 0?
_=g:d&&(_=d.nextSibling),l.__u&=-21);return n.__e=C,_}function qn(e,t,n,o,i){var r,s,a,_,f,c,y,m,l,d=n.length,C=d,g=0,k=0,v=e.__k=Array(i);for(r=0;r<i;r++)(s=t[r])!=
null&&typeof s!="boolean"&&typeof s!="function"?(typeof s!="object"||s.constructor===String?s=v[r]=de(null,s):it(s)?s=v[r]=de(N,{children:s}):s.constructor===ve&&
s.__b?s=v[r]=de(s.type,s.props,s.key,s.ref,s.__v):v[r]=s,_=r+g,s.__=e,s.__b=e.__b+1,a=null,~(f=s.__i=In(s,n,_,C))&&(C--,(a=n[f])&&(a.__u|=2)),a&&a.__v?(s.__u|=16,
f==_-1?g--:f==_+1?g++:f!=_&&(f>_?g--:g++,k=1)):(~f||(i>d?g--:i<d&&g++),typeof s.type!="function"&&(s.__u|=4))):v[r]=null;if(k){for(c=[],y=[],r=0;r<i;r++)if((s=v[r])&&
16&s.__u){for(g=0,m=c.length;g<m;)c[l=g+m>>1]<s.__i?g=l+1:m=l;c[g]=s.__i,y[r]=g+1}for(g=c.length;r--;)y[r]&&(y[r]==g?g--:v[r].__u|=4)}if(C)for(r=0;r<d;r++)!(a=n[r])||
2&a.__u||(a.__e==o&&(o=G(a)),lt(a,a));return o}function Lt(e,t,n,o){var i,r,s,a;if(typeof e.type=="function"){if(e.props.__P)return t;if(i=e.__k)for(r=0;r<i.length;r++)
i[r]&&(i[r].__=e,t=Lt(i[r],t,n,!1));return t}for(t&&!t.parentNode&&(t=G(e))&&!t.parentNode&&(t=null),s=e.__e,a=t;a&&a.nodeType==8;)a=a.nextSibling;for(s!=a&&(!o&&
n.moveBefore&&s.parentNode?n.moveBefore(s,t):n.insertBefore(s,t||null)),t=s;(t=t&&t.nextSibling)&&t.nodeType==8&&!t.data.startsWith("$s"););return t}function In(e,t,n,o){var i,r=e.key,s=e.type,a=t[n],_=a&&!(2&a.__u);if(a===null&&r==null||_&&r==a.key&&s==a.type)return n;if(o>(_?1:0)){for(i=n-1;i>=0;i--)if((a=
t[i])&&!(2&a.__u)&&r==a.key&&s==a.type)return i;for(i=n+1;i<t.length;i++)if((a=t[i])&&!(2&a.__u)&&r==a.key&&s==a.type)return i}return-1}function Nt(e,t,n){n==null&&
(n=""),t[0]=="-"?e.setProperty(t,n):e[t]=n}function Re(e,t,n,o,i){var r,s;if(t=="style")if(typeof n=="string")e.style.cssText=n;else{if(typeof o=="string"&&(e.style.
cssText=o=""),o)for(t in o)n&&t in n||Nt(e.style,t);if(n)for(t in n)o&&n[t]==o[t]||Nt(e.style,t,n[t])}else if(t[0]=="o"&&t[1]=="n")typeof n!="function"&&(n=null),
typeof o!="function"&&(o=null),(e.__e||(e.__e={}))[t]=n,n&&o||(s=nt[t]||(nt[t]=Ln(t)),(e.__a||(e.__a={}))[t]=rt,r=t!=(t=t.replace(Ut,"$1")),(t=t.slice(2))[0]<"a"&&
(t=t.toLowerCase()),n?e.addEventListener(t,s,r):e.removeEventListener(t,s,r));else{if(i=="http://www.w3.org/2000/svg")t=t.replace(/xlink(H|:h)/,"h").replace(/sName$/,
"s");else if(t!="width"&&t!="height"&&t!="href"&&t!="list"&&t!="form"&&t!="tabIndex"&&t!="download"&&t!="rowSpan"&&t!="colSpan"&&t!="role"&&t!="popover"&&t in e)
try{return void(e[t]=n??"")}catch{}if(typeof n=="function")return;n==null||n===!1&&t[4]!="-"?e.removeAttribute(t):e.setAttribute(t,t=="popover"&&n==1?"":n)}}function Ln(e){
return function(t){var n=this.__e;if(n){if(n=n[e],t[Ae]==null)t[Ae]=rt++;else if(t[Ae]<this.__a[e])return;return n(p.event?p.event(t):t)}}}function at(e,t,n,o,i,r,s,a,_,f){
var c,y,m,l,d,C,g,k,v,P,w,et,Rt,Ee,Y,At,V,ee,O=t.type;if(t.constructor!==ve)return null;128&n.__u&&(_=32&n.__u,c=n.__c.__z)&&(t.__u|=_,y=r=[],c.nodeType==8?a=De(
c,r):r.push(c),a=r[0]||a),(c=p.__b)&&c(t);e:if(typeof O=="function"){m=s.length;try{if(k=t.props,v=(c=O.prototype)&&c.render,P=(c=O.contextType)&&o[c.__c],w=c?P?
P.props.value:c.__:o,(l=n.__c)?(t.__c=l,2&l.__g&&(l.__g|=1)):(v?t.__c=l=new O(k,w):(t.__c=l=new re(k,w),l.constructor=O,l.render=Kn),P&&P.sub(l),l.state||(l.state=
{}),l.__n=o,l.__g|=8,l.__h=[],l.__k=[]),v&&(l.__s||(l.__s=l.state),O.getDerivedStateFromProps&&(l.__s==l.state&&(l.__s=ne({},l.__s)),ne(l.__s,O.getDerivedStateFromProps(
k,l.__s)))),d=l.props,C=l.state,l.__v=t,n.__c){if(k!==d&&v&&!O.getDerivedStateFromProps&&l.componentWillReceiveProps&&l.componentWillReceiveProps(k,w),t.__v==n.
__v&&!(8&l.__g)||!(4&l.__g)&&l.shouldComponentUpdate&&l.shouldComponentUpdate(k,l.__s,w)===!1){t.__v!=n.__v&&(l.props=k,l.state=l.__s,l.__g&=-9),t.__e=n.__e,t.__k=
n.__k,t.__k.some(function(A){A&&(A.__=t)}),He.push.apply(l.__h,l.__k),l.__k=[],l.__h.length&&s.push(l),a=G(n);break e}l.componentWillUpdate&&l.componentWillUpdate(
k,l.__s,w),v&&l.componentDidUpdate&&l.__h.push(function(){l.componentDidUpdate(d,C,g)})}else v&&!O.getDerivedStateFromProps&&l.componentWillMount&&l.componentWillMount(),
v&&l.componentDidMount&&l.__h.push(l.componentDidMount);l.context=w,l.props=k,l.__P=e,l.__g&=-5,et=p.__r,Rt=v?25:0;do l.__g&=-9,et&&et(t),c=l.render(l.props,l.state=
l.__s,l.context);while(8&l.__g&&++Rt<25);v&&(He.push.apply(l.__h,l.__k),l.__k=[]),l.state=l.__s,l.getChildContext&&(o=ne({},o,l.getChildContext())),v&&n.__c&&l.
getSnapshotBeforeUpdate&&(g=l.getSnapshotBeforeUpdate(d,C)),Ee=c&&c.type===N&&c.key==null?c.props.children:c,k.__P&&(c=a,i=(e=k.__P).namespaceURI,_=r=null,n.props&&
n.props.__P!=e&&(n.__k.some(function(A){A&&lt(A,A)}),n.__k=null),a=n.__k?G(n,0):null),a=It(e,it(Ee)?Ee:[Ee],t,n,o,i,r,s,a,_,f),k.__P&&(t.__e=null,a=c),t.__u&=-161,
y&&y.some(te),l.__h.length&&s.push(l),1&l.__g&&(l.__g&=-4)}catch(A){if(s.length=m,t.__v=null,_||r)if(A&&A.then){if(t.__u|=128|_,r){for(~(V=r.indexOf(a||void 0))||
(V=r.length);(ee=r[V-1])&&ee.nodeType==8;)V--;for(;V<r.length;V++)if(ee=r[V])if(r[V]=null,Y){if(ee==At)break}else{if(ee.nodeType!=8)break;ee.data.startsWith("$s")&&
(At=De(Y=ee))}}if(!Y){for(;a&&a.nodeType==8&&a.nextSibling;)a=a.nextSibling;Y=a}(c=De(Y=t.__c.__z||(t.__c.__z=Y)))?(t.__e=Y,a=c):t.__e=a,a=a&&a.nextSibling}else
r&&r.some(te);else t.__e=n.__e;t.__k||(t.__k=n.__k||[]),A&&A.then||Wt(t),p.__e(A,t,n)}}else a=t.__e=Wn(n.__e,t,n,o,i,r,s,_,f,e);return(c=p.diffed)&&c(t),a}function De(e,t){
if(e&&e.nodeType==8&&e.data.startsWith("$s"))for(var n=1;e=e.nextSibling;){if(e.nodeType==8){if(e.data.startsWith("$s"))n++;else if(e.data.startsWith("/$s")&&!--n)
return e}t&&t.push(e)}}function Wt(e){e&&(e.__c&&(e.__c.__g|=4),e.__k&&e.__k.some(Wt))}function Kt(e,t,n){for(var o=0;o<n.length;)ut(n[o++],n[o++],n[o++]);p.__c&&
p.__c(t,e),e.some(function(i){try{e=i.__h,i.__h=[],e.some(function(r){r.call(i)})}catch(r){p.__e(r,i.__v)}})}function Wn(e,t,n,o,i,r,s,a,_,f){var c,y,m,l,d,C,g,
k,v=n.props||je,P=t.props,w=t.type;if(w=="svg"?i="http://www.w3.org/2000/svg":w=="math"?i="http://www.w3.org/1998/Math/MathML":i||(i="http://www.w3.org/1999/xht\
ml"),r){for(c=0;c<r.length;c++)if((d=r[c])&&(w?d.localName==w:d.nodeType==3)){e=d,r[c]=null;break}}if(!e){if(k=f.ownerDocument||document,!w)return k.createTextNode(
P);e=k.createElementNS(i,w,P.is?P:f),a&&(p.__m&&p.__m(t,r),a=!1),r=null}if(w){if(f=w=="template"&&e.content||e,r=w=="textarea"&&P.defaultValue!=null?null:r&&st.
call(f.childNodes),!a&&r)for(v={},c=0;c<e.attributes.length;c++)v[(d=e.attributes[c]).name]=d.value;for(c in v)d=v[c],c=="dangerouslySetInnerHTML"?m=d:c=="child\
ren"||c in P||c=="value"&&"defaultValue"in P||c=="checked"&&"defaultChecked"in P||Re(e,c,null,d,i);for(c in P)d=P[c],c=="children"?l=d:c=="dangerouslySetInnerHT\
ML"?y=d:c=="value"?C=d:c=="checked"?g=d:a&&typeof d!="function"||v[c]===d||Re(e,c,d,v[c],i);y?(a||m&&(y.__html==m.__html||y.__html==e.innerHTML)||(e.innerHTML=y.
__html),t.__k=[]):(m&&(e.textContent=""),(w=="foreignObject"||i=="http://www.w3.org/1998/Math/MathML"&&On.test(w))&&(i="http://www.w3.org/1999/xhtml"),It(f,it(l)?
l:[l],t,n,o,i,r,s,r?r[0]:n.__k&&G(n,0),a,_),r&&r.some(te)),a&&w!="textarea"||(c="value",w=="progress"&&C==null?e.removeAttribute(c):C==null||C===e[c]&&(w!="prog\
ress"||C)||Re(e,c,C,v[c],i),c="checked",g!=null&&g!=e[c]&&Re(e,c,g,v[c],i))}else v===P||a&&e.data==P||(e.data=P);return e}function ut(e,t,n,o){try{typeof e=="fu\
nction"?t?t.__x=e(t)||1:o&&(o=o.__c||o.__e)&&(t=o.__x)&&(o.__x=null,typeof t=="function"?t():e(null)):e.current=t}catch(i){p.__e(i,n)}}function lt(e,t,n){var o,
i,r,s;if(p.unmount&&p.unmount(e),!(o=e.ref)||o.current&&o.current!=e.__e||ut(o,null,t,e),o=e.__c){if(o.componentWillUnmount)try{o.componentWillUnmount()}catch(a){
p.__e(a,t)}o.__P=o.__n=null}if(o=e.__k)for(s=0;s<o.length;s++)o[s]&&lt(o[s],t,typeof e.type!="function"||n&&!e.props.__P);!n&&(o=e.__c)&&(o=o.__z)&&(i=De(o,r=[]))&&
(o==e.__e&&r.some(te),te(i),te(o)),n||te(e.__e),e.__e=e.__c=e.__=null}function Kn(e,t,n){return this.constructor(e,n)}function Bt(e,t){var n,o,i,r;p.__&&p.__(e,
t),t.nodeType==9&&(t=t.documentElement),o=(n=e&&32&e.__u)?null:t.__k,t.__k=de(N,{children:[e]}),i=[],r=[],at(t,t.__k,o||je,je,t.namespaceURI,o?null:t.firstChild?
st.call(t.childNodes):null,i,o?o.__e:t.firstChild,n,r),Kt(i,t.__k,r),t.__k.props.children=null}p={__e:function(e,t,n,o){for(var i,r,s;t=t.__;)if((i=t.__c)&&!(1&i.__g)){i.__g|=4;try{if((s=(r=i.constructor)&&r.getDerivedStateFromError)&&i.setState(r.getDerivedStateFromError(
e)),i.componentDidCatch&&(i.componentDidCatch(e,o||{}),s=1),s&&8&i.__g)return void(i.__g|=2)}catch(a){e=a}}throw Ne=0,e}},jt=0,ot=function(e){return e!=null&&e.
constructor===ve},re.prototype.setState=function(e,t){var n=this.__s;n&&n!=this.state||(n=this.__s=ne({},this.state)),typeof e=="function"&&(e=e(ne({},n),this.props)),
e&&(ne(n,e),this.__v&&(t&&this.__k.push(t),Dt(this)))},re.prototype.forceUpdate=function(e){this.__v&&(this.__g|=4,e&&this.__h.push(e),Dt(this))},re.prototype.render=
N,z=[],Ne=0,Ht=function(e,t){return e.__v.__b-t.__v.__b},Ae=Symbol(),Ut=/(PointerCapture)$|Capture$/i,rt=0,nt={},Un=0;var me,$,ct,Vt,_t=Object.is,Ue=0,tn=[],ft=[],S=p,zt=S.__b,Gt=S.__r,Jt=S.diffed,Qt=S.__c,Xt=S.unmount,Zt=S.__;function dt(e,t){S.__h&&S.__h($,e,Ue||t),Ue=0;var n=$.
__H||($.__H={__:[],__h:[]});return e>=n.__.length&&n.__.push({}),n.__[e]}function vt(e){return Ue=1,Bn(on,e)}function Bn(e,t,n){var o=dt(me++,2);if(o.t=e,!o.__c&&
(o.__=[n?n(t):on(void 0,t),function(r){var s=(o.__N||o.__)[0],a=o.t(s,r);_t(s,a)||(o.__N=[a,o.__[1]],o.__c.setState({}))}],o.__c=$,!$.__f)){$.__f=!0;var i=$.shouldComponentUpdate;
$.shouldComponentUpdate=function(r,s,a){var _=this.__H;if(!_)return!0;var f=!1,c=this.props!=r;if(_.__.some(function(m){m.__N&&(f=!0,_t(m.__[0],m.__N[0])||(c=!0))}),
i){var y=i.call(this,r,s,a);return f?y||c:y}return!f||c}}return o.__}function Oe(e,t){var n=dt(me++,3);!S.__s&&nn(n.__H,t)&&(n.__P=!0,n.__=e,n.u=t,$.__H.__h.push(
n))}function ie(e){return Ue=5,Fe(function(){return{current:e}},[])}function Fe(e,t){var n=dt(me++,7);return nn(n.__H,t)&&(n.__=e(),n.__H=t),n.__}function Vn(){var e;do{for(;e=ft.shift();)try{he(e)}catch(n){S.__e(n,{__:(e=e.__P)&&e.__v})}for(;e=tn.shift();){var t=e.__H;if(e.__P&&t)try{t.__h.some(he),t.__h.
some(pt),t.__h=[]}catch(n){t.__h=[],S.__e(n,e.__v)}}}while(ft.length)}S.__b=function(e){$=null,zt&&zt(e)},S.__=function(e,t){e&&t.__k&&t.__k.__m&&(e.__m=t.__k.__m),
Zt&&Zt(e,t)},S.__r=function(e){Gt&&Gt(e),me=0;var t=($=e.__c).__H;t&&(ct==$?$.__h=[]:(t.__h.some(he),t.__h.some(pt),me=0),t.__h=[],t.__.some(function(n){n.__N&&
(n.__=n.__N),n.u=n.__N=void 0})),ct=$},S.diffed=function(e){Jt&&Jt(e);var t=e.__c;t&&t.__H&&(t.__H.__h.length&&en(tn.push(t)),t.__H.__.some(function(n){n.u&&(n.
__H=n.u)})),ct=$=null},S.__c=function(e,t){t.some(function(n){try{n.__h.some(he),n.__h=n.__h.filter(function(o){return!o.__||pt(o)})}catch(o){n.__h=[function(){
throw o}]}}),Qt&&Qt(e,t)},S.unmount=function(e){Xt&&Xt(e);var t,n,o=e.__c;o&&o.__H&&(o.__H.__.some(function(i){try{if(i.__P&&i.__c){if(n===void 0){for(n=e.__;n&&
(!n.__c||!n.__c.__P);)n=n.__;n=n&&n.__c}i.__P=n,en(ft.push(i))}else he(i)}catch(r){t=r}}),o.__H=void 0,t&&S.__e(t,o.__v))};var Yt=typeof requestAnimationFrame==
"function";function zn(e){var t,n=function(){clearTimeout(o),Yt&&cancelAnimationFrame(t),setTimeout(e)},o=setTimeout(n,35);Yt&&(t=requestAnimationFrame(n))}function en(e){
e!=1&&Vt==S.requestAnimationFrame||((Vt=S.requestAnimationFrame)||zn)(Vn)}function he(e){var t=$,n=e.__c;typeof n=="function"&&(e.__c=void 0,n()),$=t}function pt(e){
var t=$;e.__c=e.__(),$=t}function nn(e,t){return!e||e.length!=t.length||t.some(function(n,o){return!_t(n,e[o])})}function on(e,t){return typeof t=="function"?t(
e):t}var ht=class extends Error{constructor(n,o,i){super(n);this.at=o;this.len=i}at;len};async function rn(e){let t=await e.json().catch(()=>({error:e.statusText}));
return new ht(t.error,t.at,t.len)}async function F(e,t){let n=await fetch(e,t);if(!n.ok)throw await rn(n);return await n.json()}function sn(e,t,n){return F(t,{method:e,
body:JSON.stringify(n)})}var ye=e=>Uint8Array.from(atob(e),t=>t.charCodeAt(0));async function*an(e,t){let n=await fetch(e,{signal:t});if(!n.ok||!n.body)throw await rn(
n);let o=n.body.pipeThrough(new TextDecoderStream).getReader(),i="";for(;;){let{value:r,done:s}=await o.read();if(s)return;let a=(i+r).split(`
`);i=a.pop()??"";for(let _ of a)_&&(yield JSON.parse(_))}}var Gn=Symbol.for("preact-signals");function We(){if(q>1)q--;else{var e,t=!1;for((function(){var i=Ie;for(Ie=void 0;i!==void 0;){var r=i.S;if(r.v===i.v)for(var s=r.
t;s!==void 0;s=s.x)s.i===i.i&&(s.i=r.i);i=i.o}})();be!==void 0;){var n=be;for(be=void 0,qe++;n!==void 0;){var o=n.u;if(n.u=void 0,n.f&=-3,!(8&n.f)&&ln(n))try{n.
c()}catch(i){t||(e=i,t=!0)}n=o}}if(qe=0,q--,t)throw e}}function j(e){if(q>0)return e();mt=++Jn,q++;try{return e()}finally{We()}}var ge,b=void 0;function xe(e){var t=b,
n=ge;b=void 0,ge=void 0;try{return e()}finally{b=t,ge=n}}var be=void 0,q=0,qe=0,Jn=0,mt=0,Ie=void 0,Le=0;function un(e){if(b!==void 0){var t=e.n;if(t===void 0||
t.t!==b)return t={i:0,S:e,p:b.s,n:void 0,t:b,e:void 0,x:void 0,r:t},b.s!==void 0&&(b.s.n=t),b.s=t,e.n=t,32&b.f&&e.S(t),t;if(t.i===-1)return t.i=0,t.n!==void 0&&
(t.n.p=t.p,t.p!==void 0&&(t.p.n=t.n),t.p=b.s,t.n=void 0,b.s.n=t,b.s=t),t}}function T(e,t){this.v=e,this.i=0,this.n=void 0,this.t=void 0,this.l=0,this.W=t?.watched,
this.Z=t?.unwatched,this.name=t?.name}T.prototype.brand=Gn;T.prototype.h=function(){return!0};T.prototype.S=function(e){var t=this,n=this.t;n!==e&&e.e===void 0&&
(e.x=n,this.t=e,n!==void 0?n.e=e:xe(function(){var o;(o=t.W)==null||o.call(t)}))};T.prototype.U=function(e){var t=this;if(this.t!==void 0){var n=e.e,o=e.x;n!==void 0&&
(n.x=o,e.e=void 0),o!==void 0&&(o.e=n,e.x=void 0),e===this.t&&(this.t=o,o===void 0&&xe(function(){var i;(i=t.Z)==null||i.call(t)}))}};T.prototype.subscribe=function(e){
var t=this;return J(function(){var n=t.value;xe(function(){return e(n)})},{name:"sub"})};T.prototype.valueOf=function(){return this.value};T.prototype.toString=
function(){return this.value+""};T.prototype.toJSON=function(){return this.value};T.prototype.peek=function(){var e=this;return xe(function(){return e.value})};
Object.defineProperty(T.prototype,"value",{get:function(){var e=un(this);return e!==void 0&&(e.i=this.i),this.v},set:function(e){if(e!==this.v){if(qe>100)throw new Error(
"Cycle detected");(function(n){q!==0&&qe===0&&n.l!==mt&&(n.l=mt,Ie={S:n,v:n.v,i:n.i,o:Ie})})(this),this.v=e,this.i++,Le++,q++;try{for(var t=this.t;t!==void 0;t=
t.x)t.t.N()}finally{We()}}}});function h(e,t){return new T(e,t)}function ln(e){for(var t=e.s;t!==void 0;t=t.n)if(t.S.i!==t.i||!t.S.h()||t.S.i!==t.i)return!0;return!1}
function cn(e){for(var t=e.s;t!==void 0;t=t.n){var n=t.S.n;if(n!==void 0&&(t.r=n),t.S.n=t,t.i=-1,t.n===void 0){e.s=t;break}}}function _n(e){for(var t=e.s,n=void 0;t!==
void 0;){var o=t.p;t.i===-1?(t.S.U(t),o!==void 0&&(o.n=t.n),t.n!==void 0&&(t.n.p=o)):n=t,t.S.n=t.r,t.r!==void 0&&(t.r=void 0),t=o}e.s=n}function oe(e,t){T.call(
this,void 0,t),this.x=e,this.s=void 0,this.g=Le-1,this.f=4}oe.prototype=new T;oe.prototype.h=function(){if(this.f&=-3,1&this.f)return!1;if((36&this.f)==32||(this.
f&=-5,this.g===Le))return!0;if(this.g=Le,this.f|=1,this.i>0&&!ln(this))return this.f&=-2,!0;var e=b;try{cn(this),b=this;var t=this.x();(16&this.f||this.v!==t||this.
i===0)&&(this.v=t,this.f&=-17,this.i++)}catch(n){this.v=n,this.f|=16,this.i++}return b=e,_n(this),this.f&=-2,!0};oe.prototype.S=function(e){if(this.t===void 0){
this.f|=36;for(var t=this.s;t!==void 0;t=t.n)t.S.S(t)}T.prototype.S.call(this,e)};oe.prototype.U=function(e){if(this.t!==void 0&&(T.prototype.U.call(this,e),this.
t===void 0)){this.f&=-33;for(var t=this.s;t!==void 0;t=t.n)t.S.U(t)}};oe.prototype.N=function(){if(!(2&this.f)){this.f|=6;for(var e=this.t;e!==void 0;e=e.x)e.t.
N()}};Object.defineProperty(oe.prototype,"value",{get:function(){if(1&this.f)throw new Error("Cycle detected");var e=un(this);if(this.h(),e!==void 0&&(e.i=this.
i),16&this.f)throw this.v;return this.v}});function se(e,t){return new oe(e,t)}function fn(e){var t=e.j;if(e.j=void 0,typeof t=="function"){q++;var n=b;b=void 0;
try{t()}catch(o){throw e.f&=-2,e.f|=8,yt(e),o}finally{b=n,We()}}}function yt(e){for(var t=e.s;t!==void 0;t=t.n)t.S.U(t);e.x=void 0,e.s=void 0,fn(e)}function Qn(e){
if(b!==this)throw new Error("Out-of-order effect");_n(this),b=e,this.f&=-2;try{8&this.f&&yt(this)}finally{We()}}function ae(e,t){this.x=e,this.j=void 0,this.s=void 0,
this.u=void 0,this.f=32,this.name=t?.name,ge&&ge.push(this)}ae.prototype.c=function(){var e=this.S();try{if(8&this.f||this.x===void 0)return;var t=this.x();typeof t==
"function"&&(this.j=t)}finally{e()}};ae.prototype.S=function(){if(1&this.f)throw new Error("Cycle detected");this.f|=1,this.f&=-9,fn(this),cn(this),q++;var e=b;
return b=this,Qn.bind(this,e)};ae.prototype.N=function(){2&this.f||(this.f|=2,this.u=be,be=this)};ae.prototype.d=function(){this.f|=8,1&this.f||yt(this)};ae.prototype.
dispose=function(){this.d()};function J(e,t){var n=new ae(e,t);try{n.c()}catch(i){throw n.d(),i}var o=n.d.bind(n);return o[Symbol.dispose]=o,o}var gt,we,Ke,Xn=typeof window<"u"&&!!window.__PREACT_SIGNALS_DEVTOOLS__,pn=[],dn=[];J(function(){gt=this.N})();function ue(e,t){p[e]=t.bind(null,p[e]||function(){})}
function ke(e){if(Ke){var t=Ke;Ke=void 0,t()}Ke=e&&e.S()}function vn(e){var t=this,n=e.data,o=Yn(n);o.name="ReactiveDom",o.value=n;var i=Fe(function(){for(var a=t,
_=t.__v;_=_.__;)if(_.__c){_.__c.__$f|=4;break}var f=se(function(){var l=o.value.value;return l===0?0:l===!0?"":l||""}),c=se(function(){return!Array.isArray(f.value)&&
!ot(f.value)}),y=J(function(){if(this.N=hn,c.value){var l=f.value;a.__v&&a.__v.__e&&a.__v.__e.nodeType===3&&(a.__v.__e.data=l)}}),m=t.__$u.d;return t.__$u.d=function(){
y(),m.call(this)},[c,f]},[]),r=i[0],s=i[1];return r.value?s.peek():s.value}vn.displayName="ReactiveTextNode";Object.defineProperties(T.prototype,{constructor:{configurable:!0,
value:Ot(N,null).constructor},type:{configurable:!0,value:vn},props:{configurable:!0,get:function(){var e=this;return{data:{get value(){return e.value}}}}},__b:{
configurable:!0,value:1}});ue("__b",function(e,t){if(ke(),we=void 0,typeof t.type=="string"){var n,o=t.props;for(var i in o)if(i!=="children"){var r=o[i];r instanceof
T&&(n||(t.__np=n={}),n[i]=r,o[i]=r.peek())}}e(t)});ue("__r",function(e,t){if(e(t),t.type!==N){ke();var n,o=t.__c;o&&(o.__$f&=-2,(n=o.__$u)===void 0&&(o.__$u=n=(function(i,r){
var s;return J(function(){s=this},{name:r}),s.c=i,s})((function(i){return function(){var r;Xn&&((r=this.y)==null||r.call(this)),i.__$f|=1,i.setState({})}})(o),typeof t.
type=="function"?t.type.displayName||t.type.name:""))),we=o,ke(n)}});ue("__e",function(e,t,n,o){ke(),we=void 0,e(t,n,o)});ue("diffed",function(e,t){ke(),we=void 0;
var n;if(typeof t.type=="string"&&(n=t.__e)){var o=t.__np,i=t.props,r=n.U;if(r)for(var s in r){var a=r[s];a===void 0||o&&s in o||(a.d(),r[s]=void 0)}if(o){r||(r=
{},n.U=r);for(var _ in o){var f=r[_],c=o[_];f===void 0?(f=Zn(n,_,c,i),r[_]=f):f.o(c,i)}}}e(t)});function Zn(e,t,n,o){var i=t in e&&e.ownerSVGElement===void 0,r=h(
n);return{o:function(s,a){r.value=s,o=a},d:J(function(){this.N=hn;var s=r.value.value;o[t]!==s&&(o[t]=s,i?e[t]=s:s!=null&&(s!==!1||t[4]==="-")?e.setAttribute(t,
s):e.removeAttribute(t))})}}ue("unmount",function(e,t){if(typeof t.type=="string"){var n=t.__e;if(n){var o=n.U;if(o){n.U=void 0;for(var i in o){var r=o[i];r&&r.
d()}}}var s=t.__np;if(s){var a=t.props;for(var _ in s)a[_]=s[_]}t.__np=void 0}else{var f=t.__c;if(f){f.__$f|=8;var c=f.__$u;c&&(f.__$u=void 0,c.d())}}e(t)});ue(
"__h",function(e,t,n,o){o<3&&(t.__$f|=2),e(t,n,o)});re.prototype.shouldComponentUpdate=function(e,t){if(this.__R)return!0;var n=this.__$u,o=n&&n.s!==void 0;for(var i in t)
return!0;if(this.__f||typeof this.u=="boolean"&&this.u===!0){var r=2&this.__$f;if(!(o||r||4&this.__$f)||1&this.__$f)return!0}else if(!(o||4&this.__$f)||3&this.__$f)
return!0;for(var s in e)if(s!=="__source"&&e[s]!==this.props[s])return!0;for(var a in this.props)if(!(a in e))return!0;return!1};function Yn(e,t){return Fe(function(){
return h(e,t)},[])}var eo=typeof requestAnimationFrame>"u"?setTimeout:function(e){var t=function(){clearTimeout(n),cancelAnimationFrame(o),e()},n=setTimeout(t,35),o=requestAnimationFrame(
t)},to=function(e){queueMicrotask(function(){queueMicrotask(e)})};function no(){j(function(){for(var e;e=pn.shift();)gt.call(e)})}function oo(){pn.push(this)===
1&&(p.requestAnimationFrame||eo)(no)}function ro(){j(function(){for(var e;e=dn.shift();)gt.call(e)})}function hn(){dn.push(this)===1&&(p.requestAnimationFrame||
to)(ro)}function Be(e,t){var n=ie(e);n.current=e;var o=we;Oe(function(){return J(function(){if(this.N=oo,!(o&&8&o.__$f))return n.current()},t)},[])}var io=200,mn=5e3,x=h([]),I=h([]),kt=h(!0),le=h("loading"),E=h(null),W=h(!1),R=h(""),_e=h(!1),D=h(null),$e=h(null),Te=h(!0),wt=h(""),St=h({}),$t=h(0),U=h("text"),
K=h(!1),ce=h(""),Ve=null,bt=!1,ze=new Map,Se=null,fe=se(()=>x.value.find(e=>e.stream_id_hex===E.value)??null);function Pe(e){ce.value=e,setTimeout(()=>{ce.value===
e&&(ce.value="")},2500)}function gn(e){return`/api/streams?limit=${io}&cursor=${e}`+(W.value?"&only_favorites=true&include_hidden=true":"")}async function H(){Se?.
abort(),le.value="loading";try{let e=await F(gn("0"));j(()=>{x.value=e.rows,I.value=[],D.value=null,le.value="ready"}),Ve=e.next_cursor,ze=new Map}catch(e){le.value=
"failed",$e.value=e}}async function bn(){if(!(bt||Ve===null||D.value)){bt=!0;try{let e=await F(gn(Ve)),t=new Set(x.value.map(n=>n.stream_id_hex));x.value=[...x.
value,...e.rows.filter(n=>!t.has(n.stream_id_hex))],Ve=e.next_cursor}catch{}finally{bt=!1}}}function Ge(){x.value=[...I.value,...x.value],I.value=[]}function so(e,t){
return e.first_seen_us>t.first_seen_us}function ao(e){let t=new Map(x.value.map((r,s)=>[r.stream_id_hex,s])),n=x.value.slice(),o=[],i=I.value.slice();for(let r of e){
let s=t.get(r.stream_id_hex),a=i.findIndex(_=>_.stream_id_hex===r.stream_id_hex);s!==void 0?n[s]=r:a>=0?i[a]=r:!r.hidden&&!D.value&&!W.value&&(!n[0]||!so(n[0],r))&&
o.push(r)}o.sort((r,s)=>s.first_seen_us-r.first_seen_us),j(()=>{kt.value?x.value=[...o,...n].slice(0,Math.max(mn,n.length)):(x.value=n,I.value=[...o,...i].slice(
0,mn))})}var yn=0,xt=0;function uo(e){let t=performance.now(),n=e.packets??0;xt&&($t.value=(n-yn)*1e3/(t-xt)),yn=n,xt=t,St.value=e}function lo(e){let t=[];wt.value=
e.run_status;for(let n of e.deltas)n.streams&&t.push(...n.streams),n.stats&&uo(n.stats),n.kind==="note"&&!D.value&&H();e.missed&&!D.value?H():t.length&&ao(t),t.
some(n=>n.stream_id_hex===E.value)&&wn()}function xn(){let e=new EventSource("/api/live/events");e.onmessage=t=>lo(JSON.parse(t.data)),e.onopen=()=>{Te.value=!0},
e.onerror=()=>{Te.value=!1}}function pe(){Se?.abort(),_e.value=!1}async function kn(){let e=R.value.trim();if($e.value=null,!e)return pe(),H();Se?.abort();let t=Se=
new AbortController;j(()=>{_e.value=!0,x.value=[],I.value=[],D.value={state:"running",hits:0,searched_streams:0,searched_bytes:0,total_known:!1,total_streams:0,
total_bytes:0,missing_bytes:0}}),ze=new Map;try{let n=`/api/search?q=${encodeURIComponent(e)}`;for await(let o of an(n,t.signal)){o.row&&(x.value=[...x.value,o.
row],o.found&&ze.set(o.row.stream_id_hex,o.found));let i=o.progress??o.end;i&&(D.value=i)}}catch(n){t.signal.aborted||($e.value=n)}Se===t&&(_e.value=!1)}var L=h(
[]),Z=h([]),Q=h(-1),Ce=h(null),X=h("empty");function co(e,t){return[...(ze.get(e)??[]).map(o=>({pattern_id:"query",pattern_name:o.term,direction:o.direction,logical_start:o.
logical_start,logical_end:o.logical_end})),...t]}async function Me(e){j(()=>{E.value!==e&&(L.value=[],Z.value=[],Q.value=-1,X.value="loading"),E.value=e}),await wn()}
async function wn(){let e=E.value;if(e)try{let[t,n]=await Promise.all([F(`/api/streams/${e}/conversation?mode=raw`),F(`/api/streams/${e}/matches`)]);if(E.value!==
e)return;j(()=>{L.value=t.parts,Ce.value=t.next_cursor,Z.value=co(e,n.matches),X.value="ready"})}catch{E.value===e&&(X.value="failed")}}async function Sn(){let e=E.
value,t=Ce.value;if(!e||t===null)return;let n=await F(`/api/streams/${e}/conversation?mode=raw&cursor=${t}`);E.value===e&&j(()=>{L.value=[...L.value,...n.parts],
Ce.value=n.next_cursor})}function Je(e){let t=x.value,n=t.findIndex(i=>i.stream_id_hex===E.value),o=t[Math.min(t.length-1,Math.max(0,n+e))];o&&Me(o.stream_id_hex)}
function Tt(e){let t=Z.value.length;t?Q.value=(Q.value+e+t)%t:Pe("nothing was found in this stream")}async function $n(e){let t=fe.value;if(!t)return;let n=await sn(
"PATCH",`/api/streams/${t.stream_id_hex}/state`,e);x.value=x.value.map(o=>o.stream_id_hex===n.row.stream_id_hex?n.row:o)}function Qe(){let e=fe.value;e&&$n({favorite:!e.
favorite})}async function Xe(){let e=fe.value;e&&(await $n({hidden:!0}),Je(1),x.value=x.value.filter(t=>t.stream_id_hex!==e.stream_id_hex),Pe("hidden; its hide \
rules and favourites stay on the server"))}function M(e){return e<1e3?`${e}`:e<1e6?`${(e/1e3).toPrecision(3)} k`:e<1e9?`${(e/1e6).toPrecision(3)} M`:`${(e/1e9).toPrecision(3)} G`}function Ze(e){return new Date(
e/1e3).toISOString().slice(11,23)}function Ye(e){return e<1e3?`${e} us`:e<1e6?`${(e/1e3).toPrecision(3)} ms`:`${(e/1e6).toFixed(2)} s`}function Tn(e,t,n){let o=[],
i=e+t.length,r=e,s=(_,f)=>{_>r&&o.push({at:r,bytes:t.subarray(r-e,_-e),mark:f}),r=Math.max(r,_)},a=n.filter(_=>_.end>e&&_.start<i).sort((_,f)=>_.start-f.start);
for(let _ of a)s(Math.max(r,Math.min(_.start,i)),-1),s(Math.min(_.end,i),_.index);return s(i,-1),o}var _o=new TextDecoder("utf-8");function Ct(e){return _o.decode(
e).replace(/[\u0000-\u0008\u000b-\u001f\u007f]/g,t=>t==="\r"?"":t==="\x7F"?"\u2421":String.fromCharCode(9216+t.charCodeAt(0)))}function Cn(e,t){let n=Array.from(
t,i=>i.toString(16).padStart(2,"0")),o=Array.from(t,i=>i>=32&&i<127?String.fromCharCode(i):".").join("");return`${e.toString(16).padStart(8,"0")}  ${n.slice(0,8).
join(" ").padEnd(23)}  ${n.slice(8).join(" ").padEnd(23)}  ${o}`}var fo=Symbol.for("pv"),po=0;function u(e,t,n,o,i,r){t||(t={});var s,a,_=t;if("ref"in _&&typeof e!="function")for(a in _={},t)a=="ref"?s=t[a]:_[a]=t[a];var f={type:e,props:_,key:n,ref:s,__k:null,
__:null,__b:0,__e:null,__c:null,constructor:fo,__v:--po,__i:-1,__u:0};return(i||r)&&(f.__source=i,f.__self=r),p.vnode&&p.vnode(f),f}var vo=50;function Pt(){let e=document.documentElement,t=getComputedStyle(e).colorScheme.startsWith("dark");e.style.colorScheme=t?"light":"dark",localStorage.setItem(
"theme",t?"light":"dark")}function Pn(){let e=St.value,t=(e.source_dropped_packets??0)+(e.source_lost_packets??0);return u("header",{class:"strip",children:[u("\
b",{children:"weir"}),u("span",{class:Te.value?"good":"bad",children:Te.value?wt.value||"connecting":"the server does not answer"}),u("span",{children:[M(Math.round(
$t.value))," packets/s"]}),u("span",{children:[M(e.packets??0)," packets"]}),u("span",{children:[M(e.inventory_created_streams??0)," streams"]}),u("span",{children:[
M(e.pattern_matches??0)," found"]}),u("span",{class:t?"bad":"",children:[M(t)," lost"]}),u("span",{class:e.tcp_gaps?"warn":"",children:[M(e.tcp_gaps??0)," gaps"]}),
u("span",{class:"buttons",children:[u("button",{type:"button","aria-pressed":W.value,title:"only favourites (F)",onClick:()=>{W.value=!W.value,H()},children:"\u2665"}),
u("button",{type:"button",title:"dark or light (T)",onClick:Pt,children:"\u25D1"}),u("button",{type:"button",title:"every key (?)",onClick:()=>{K.value=!0},children:"\
?"})]})]})}function ho(e,t){let n=/(^|[\s(-])([a-z._]+)$/.exec(t)?.[2];return n?e.filter(o=>o.name.startsWith(n)&&o.name!==n).slice(0,8):[]}function mo(e){let t=JSON.
parse(localStorage.getItem("queries")??"[]");localStorage.setItem("queries",JSON.stringify([e,...t.filter(n=>n!==e)].slice(0,vo)))}function yo(){let e=D.value;if(!e)
return u("span",{class:"result",children:[M(x.value.length)," shown"]});let t=e.total_known?`${M(e.searched_bytes)} of ${M(e.total_bytes)} bytes`:`${M(e.searched_streams)}\
 streams`;return u("span",{class:"result",children:[e.hits," hits, searched ",t,e.missing_bytes?`, ${M(e.missing_bytes)} missing`:"",_e.value?u("button",{type:"\
button",onClick:pe,children:"stop"}):null]})}function go(){let e=$e.value;if(!e)return null;let t=e.at??0;return u("div",{class:"trouble",role:"alert",children:[
e.at===void 0?null:u("pre",{children:[" ".repeat(t),"^".repeat(Math.max(1,e.len??1))]}),e.message]})}function Mn(){let[e,t]=vt([]),[n,o]=vt(-1),i=ie(null);Oe(()=>{
F("/api/query/keys").then(f=>t(f.keys),()=>{})},[]);let r=ho(e,R.value),s=f=>{R.value=R.value.replace(/[a-z._]+$/,`${f.name}:`),i.current?.focus()},a=f=>{let c=JSON.
parse(localStorage.getItem("queries")??"[]"),y=Math.max(-1,Math.min(c.length-1,n+f));o(y),R.value=c[y]??""},_=f=>{if(f.key==="Enter")R.value.trim()&&mo(R.value.
trim()),o(-1),kn();else if(f.key==="Tab"&&r[0])s(r[0]);else if(f.key==="ArrowUp")a(1);else if(f.key==="ArrowDown")a(-1);else if(f.key==="Escape")_e.value?pe():i.
current?.blur();else return;f.preventDefault()};return u("div",{class:"query",children:[u("input",{id:"query",ref:i,value:R.value,spellcheck:!1,autocomplete:"of\
f","aria-label":"query",placeholder:"service:http out~/flag\\{/   ( / to type, Enter to search )",onInput:f=>{R.value=f.currentTarget.value},onKeyDown:_}),u(yo,
{}),r.length>0&&u("ul",{class:"offers",children:r.map(f=>u("li",{onMouseDown:c=>{c.preventDefault(),s(f)},children:[u("b",{children:f.name})," ",f.about," ",u("\
i",{children:f.values})]},f.name))}),u(go,{})]})}var B=24,En=10,Mt=h(0),Rn=h(600),bo={open:["\u25CF","open: it still grows"],closing:["\u25D0","one side has said goodbye"],closed:["\u25CB","closed"]};function xo(e){
return e.gap_bytes?["\u25CD",`${e.gap_bytes} bytes are missing`]:e.ended==="rst"?["\u2715","reset"]:e.protocol==="tcp"&&!e.server_bytes&&!e.client_bytes?["\u25CC",
"nothing was said"]:bo[e.status]??["?",e.status]}function An({n:e,kind:t}){let n=e?Math.min(32,3+Math.log2(e)*1.4):0;return u("span",{class:`bar ${t}`,style:{width:`${n}\
px`}})}function ko({row:e,at:t}){let[n,o]=xo(e),i=e.opener==="a"?e.endpoint_a:e.endpoint_b,r=e.opener==="a"?e.endpoint_b:e.endpoint_a,s=E.value===e.stream_id_hex;
return u("div",{class:`row${s?" on":""}${e.match_count?" hit":""}`,role:"option","aria-selected":s,id:`row-${e.stream_id_hex}`,style:{top:`${t*B}px`},onClick:()=>{
Me(e.stream_id_hex)},children:[u("span",{class:`state ${e.status}`,title:o,children:n}),u("span",{class:"time",children:Ze(e.first_seen_us)}),u("span",{class:"s\
ervice",children:e.service==="unknown"?e.protocol:e.service}),u("span",{class:"ends",title:`${i.addr}:${i.port} to ${r.addr}:${r.port}`,children:[i.addr," ","\u2192",
" ",r.addr,":",r.port]}),u("span",{class:"bytes",title:"bytes of client and server",children:[u(An,{n:e.client_bytes,kind:"client"}),u(An,{n:e.server_bytes,kind:"\
server"})]}),u("span",{class:"size",children:M(e.client_bytes+e.server_bytes)}),u("span",{class:"took",children:Ye(e.last_seen_us-e.first_seen_us)}),u("span",{class:"\
tags",children:[e.favorite?u("b",{title:"favourite",children:"\u2665"}):null,e.pattern_ids.slice(0,4).map(a=>u("i",{title:"a pattern was found",children:a},a)),
e.pattern_ids.length>4?u("i",{children:["+",e.pattern_ids.length-4]}):null]})]})}function wo(){return le.value==="loading"?u("p",{class:"empty",children:"Loadin\
g streams\u2026"}):le.value==="failed"?u("p",{class:"empty",children:["The server does not answer."," ",u("button",{type:"button",onClick:()=>{H()},children:"Tr\
y again"})]}):D.value?u("p",{class:"empty",children:D.value.state==="running"?"Searching\u2026":`Nothing is like "${R.value}".`}):u("p",{class:"empty",children:"\
No streams yet. They appear with their first packet."})}function Dn(){let e=ie(null);Be(()=>{let r=E.value,s=x.peek().findIndex(_=>_.stream_id_hex===r),a=e.current;
!a||s<0||(s*B<a.scrollTop?a.scrollTop=s*B:(s+1)*B>a.scrollTop+a.clientHeight&&(a.scrollTop=(s+1)*B-a.clientHeight))});let t=()=>{let r=e.current;r&&(Mt.value=r.
scrollTop,Rn.value=r.clientHeight,kt.value=r.scrollTop<B,r.scrollTop+2*r.clientHeight>r.scrollHeight&&bn())},n=x.value,o=Math.max(0,Math.floor(Mt.value/B)-En),i=Math.
min(n.length,Math.ceil((Mt.value+Rn.value)/B)+En);return u("section",{class:"list","aria-label":"streams",children:[I.value.length>0&&u("button",{type:"button",
class:"pill",onClick:()=>{Ge(),e.current&&(e.current.scrollTop=0)},children:[I.value.length," new"]}),u("div",{class:"rows",ref:e,onScroll:t,role:"listbox","ari\
a-label":"streams, newest first",tabIndex:0,"aria-activedescendant":E.value?`row-${E.value}`:void 0,children:[n.length===0?u(wo,{}):null,u("div",{style:{height:`${n.
length*B}px`},children:n.slice(o,i).map((r,s)=>u(ko,{row:r,at:o+s},r.stream_id_hex))})]})]})}var So=4096;function $o(e){return Z.value.map((t,n)=>({start:t.logical_start,end:t.logical_end,index:n,mine:t.direction===e.direction})).filter(t=>t.mine)}function To({
piece:e,part:t}){let n=ye(e.base64??"");return u("pre",{children:Tn(e.logical_start,n,$o(t)).map(o=>o.mark<0?Ct(o.bytes):u("mark",{id:`mark-${o.mark}`,class:o.mark===
Q.value?"now":"",title:Z.value[o.mark]?.pattern_name,children:Ct(o.bytes)},o.at))})}function Co({piece:e}){let t=ye(e.base64??""),n=[];for(let o=0;o<t.length&&n.
length<So;o+=16)n.push(Cn(e.logical_start+o,t.subarray(o,o+16)));return u("pre",{class:"hex",children:n.join(`
`)})}function Po({part:e,before:t}){let n=fe.value,o=n&&e.direction==="a_to_b"==(n.opener==="a");return u("article",{class:o?"client":"server",children:[u("head\
er",{children:[u("b",{children:o?">":"<"})," ",u("span",{children:["#",e.index]}),u("span",{children:Ze(e.first_us)}),u("span",{title:"since the other side spok\
e",children:t?`+${Ye(e.first_us-t.last_us)}`:""}),u("span",{children:[M(e.logical_end-e.logical_start)," bytes"]}),u("span",{title:"number of the packet in its \
source",children:["packet"," ",e.packet]})]}),e.pieces.map(i=>i.hole?u("div",{class:"hole",children:[i.logical_end-i.logical_start," bytes are missing: ",i.hole]},
i.logical_start):U.value==="hex"?u(Co,{piece:i},i.logical_start):u(To,{piece:i,part:e},i.logical_start)),e.given_end<e.logical_end?u("div",{class:"hole",children:[
e.logical_end-e.given_end," more bytes; the API gives them"]}):null]})}async function Et(){let e=L.value.map(t=>t.pieces.map(n=>n.base64?U.value==="hex"?Array.from(
ye(n.base64),o=>o.toString(16).padStart(2,"0")).join(" "):new TextDecoder().decode(ye(n.base64)):`[${n.logical_end-n.logical_start} bytes missing]`).join("")).join(
`
`);try{await navigator.clipboard.writeText(e),Pe(`copied ${M(e.length)} characters as ${U.value}`)}catch{Pe("the browser does not let this page copy")}}function Nn(){
Be(()=>{Q.value>=0&&document.getElementById(`mark-${Q.value}`)?.scrollIntoView({block:"center"})});let e=fe.value;if(X.value==="empty"||!e)return u("section",{class:"\
pane",children:u("p",{class:"empty",children:["Choose a stream with ",u("kbd",{children:"j"})," ","and ",u("kbd",{children:"k"}),", or click one. ",u("kbd",{children:"\
?"})," shows every key."]})});let t=e.opener==="a"?e.endpoint_a:e.endpoint_b,n=e.opener==="a"?e.endpoint_b:e.endpoint_a;return u("section",{class:"pane","aria-l\
abel":"stream",children:[u("header",{class:"title",children:[u("span",{class:"ends",children:[t.addr,":",t.port," ","\u2192"," ",n.addr,":",n.port]}),u("span",{
children:e.service}),u("span",{children:[e.status,e.ended?`, ${e.ended}`:""]}),u("span",{children:Z.value.length?`${Q.value+1} of ${Z.value.length} found`:"noth\
ing found"}),u("code",{children:e.stream_id_hex}),u("span",{class:"buttons",children:[u("button",{type:"button",title:"favourite (f)",onClick:Qe,children:e.favorite?
"\u2665":"\u2661"}),u("button",{type:"button",title:"text or hex (h)",onClick:()=>{U.value=U.value==="hex"?"text":"hex"},children:U.value}),u("button",{type:"bu\
tton",title:"copy (c)",onClick:()=>{Et()},children:"copy"}),u("button",{type:"button",title:"hide (x)",onClick:()=>{Xe()},children:"hide"})]})]}),u("div",{class:"\
talk",children:[X.value==="loading"?u("p",{class:"empty",children:"Loading\u2026"}):null,X.value==="failed"?u("p",{class:"empty",children:["This stream cannot b\
e read."," ",u("button",{type:"button",onClick:()=>{Me(e.stream_id_hex)},children:"Try again"})]}):null,X.value==="ready"&&L.value.length===0?u("p",{class:"empt\
y",children:"Nothing was said yet."}):null,L.value.map((o,i)=>u(Po,{part:o,before:L.value[i-1]},o.index)),Ce.value!==null?u("button",{type:"button",class:"more",
onClick:()=>{Sn()},children:"show what follows"}):null]})]})}var Hn=[["j","next stream",()=>Je(1)],["k","stream before",()=>Je(-1)],["n","next thing found in the stream",()=>Tt(1)],["p","thing found before",()=>Tt(-1)],["\
f","favourite",Qe],["F","only favourites",()=>{W.value=!W.value,H()}],["h","text or hex",()=>{U.value=U.value==="hex"?"text":"hex"}],["c","copy what was said",()=>{
Et()}],["x","hide the stream",()=>{Xe()}],["/","type a query",()=>document.getElementById("query")?.focus()],["0","back to the live list",()=>{R.value="",H()}],
["G","show the new ones",()=>{Ge(),document.querySelector(".rows")?.scrollTo(0,0)}],["T","dark or light",Pt],["?","this help",()=>{K.value=!K.value}],["Escape",
"stop the search, close the help",()=>{K.value?K.value=!1:pe()}]],Mo={ArrowDown:"j",ArrowUp:"k",N:"p"};function Eo(e){if(e.target instanceof HTMLInputElement||e.
ctrlKey||e.metaKey||e.altKey)return;let n=Mo[e.key]??e.key,o=Hn.find(([i])=>i===n);o&&(e.preventDefault(),o[2]())}function Ro(){return K.value?u("div",{class:"h\
elp",role:"dialog","aria-label":"every key",onClick:()=>{K.value=!1},children:[u("table",{children:u("tbody",{children:Hn.map(([e,t])=>u("tr",{children:[u("td",
{children:u("kbd",{children:e})}),u("td",{children:t})]},e))})}),u("p",{children:"In the query bar: Tab completes, arrows recall, Enter searches."})]}):null}function Ao(){
return u(N,{children:[u(Pn,{}),u(Mn,{}),u("main",{children:[u(Dn,{}),u(Nn,{})]}),u(Ro,{}),ce.value?u("div",{class:"toast",role:"status",children:ce.value}):null]})}
var jn=localStorage.getItem("theme");jn&&(document.documentElement.style.colorScheme=jn);document.addEventListener("keydown",Eo);Bt(u(Ao,{}),document.body);H();
xn();
