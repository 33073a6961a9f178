// privileges.js: tenants of the shop in fixtures/shop that may only look are
// refused what changes something, and all others are let do it.
//
// Transactions: "look" is completed when a tenant sees what everybody may see;
// "change" when one that may change something was let; "change-refused" when one
// of the low class got a 403 for the same. Too much is found as well as too little.
//
//   TARGET_URL     the shop's front
//   LOW_CLASS      class of the tenants that may only look; default viewer
//   LOOK_PATH      what everybody may see; default /products
//   CHANGE_METHOD  with the next two, what only others may do; default POST
//   CHANGE_PATH    default /cart; NEW_NAME in it, or in the body, stands for a name
//                  that is new and begins with the prefix of tenants
//   CHANGE_BODY    JSON; default: a kettle for the cart NEW_NAME
//   tenants:       of the test: some of the low class, and some of another
import http from 'k6/http';
import { tenant, transaction } from 'k6/x/resilience';

const base = __ENV.TARGET_URL;
const lowClass = __ENV.LOW_CLASS || 'viewer';
const lookPath = __ENV.LOOK_PATH || '/products';
const changeMethod = __ENV.CHANGE_METHOD || 'POST';
const changePath = __ENV.CHANGE_PATH || '/cart';
const changeBody = __ENV.CHANGE_BODY || '{"cart": "NEW_NAME", "product": "p01", "quantity": 1}';

// One name for all changes, or each would be a route of its own.
const json = { headers: { 'Content-Type': 'application/json' }, tags: { name: `${base}${changePath}` } };
const refusing = { ...json, responseCallback: http.expectedStatuses(403) };

export default function () {
  const me = tenant();
  transaction('look', (tx) => tx.completed(done(http.get(`${base}${lookPath}`))));
  if (me.class === lowClass) {
    transaction('change-refused', (tx) => tx.completed(change(me, refusing).status === 403));
  } else {
    transaction('change', (tx) => tx.completed(done(change(me, json))));
  }
}

function change(me, params) {
  const name = `${me.prefix}${crypto.randomUUID()}`;
  return http.request(changeMethod, `${base}${changePath.replaceAll('NEW_NAME', name)}`, changeBody.replaceAll('NEW_NAME', name), params);
}

function done(answer) {
  return answer.status >= 200 && answer.status < 300;
}
