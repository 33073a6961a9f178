// hygiene.js: what synthetic tenants do to the shop in fixtures/shop does not stay
// there for ever, and is on nobody's bill.
//
// sweep removes, tenant by tenant and through the API, what has the prefix of
// synthetic tenants and is older than a time-to-live. The transaction "sweep" is
// completed when none of that is there any more; the metric "swept" counts what was
// removed. leak asks the bill, or a page of the analytics, for how much synthetic
// tenants did. The transaction "leak" is completed when the page says 0; the metric
// "leaked" is what it said. Tenants must have done something before, or 0 says nothing.
// Without exec: both are done.
//
//   TARGET_URL    the shop's front
//   SWEEP_OLDER   time-to-live, such as 30m or 7d; default 1h
//   LIST_PATH     where a tenant's things are listed, with PREFIX for the prefix;
//                 default /history?prefix=PREFIX
//   LIST_FIELD    the list in that answer; default orders
//   LIST_ID       with the next two, fields of a thing; default id
//   LIST_NAME     what begins with the prefix; default cart
//   LIST_CREATED  when it was made, such as 2026-01-02T15:04:05Z; default created
//   REMOVE_PATH   what to DELETE, with ID for the thing; default /orders/ID
//   LEAK_PATH     the page, with TENANT for the tenant's name; default /billing
//   LEAK_FIELD    the count on it; default orders
//   tenants:      of the test: those whose things are looked at
import http from 'k6/http';
import { Counter, Gauge } from 'k6/metrics';
import { eventually, tenant, transaction } from 'k6/x/resilience';

const base = __ENV.TARGET_URL;
const env = (name, otherwise) => __ENV[name] || otherwise;
const olderThan = milliseconds(env('SWEEP_OLDER', '1h'));
const listPath = env('LIST_PATH', '/history?prefix=PREFIX');
const removePath = env('REMOVE_PATH', '/orders/ID');
const leakPath = env('LEAK_PATH', '/billing');
const swept = new Counter('swept');
const leaked = new Gauge('leaked');

// One name for all things, or each would be a route of its own. What is gone already is fine.
const removing = { tags: { name: `${base}${removePath}` }, responseCallback: http.expectedStatuses({ min: 200, max: 299 }, 404, 410) };

export default function () {
  leak();
  sweep();
}

export function sweep() {
  const { prefix } = tenant();
  const before = Date.now() - olderThan;
  transaction('sweep', (tx) => {
    const answers = new Map(); // of what was asked to be removed
    let left = overdue(prefix, before);
    while (left.some((id) => !answers.has(id))) { // a list may show a part of what there is
      for (const id of left.filter((one) => !answers.has(one))) {
        answers.set(id, http.del(`${base}${removePath.replace('ID', encodeURIComponent(id))}`, null, removing).status);
      }
      left = overdue(prefix, before);
    }
    tx.completed(eventually(() => (left = overdue(prefix, before)).length === 0, { within: '5s' }));
    swept.add([...answers].filter(([id, status]) => status < 300 && !left.includes(id)).length);
  });
}

export function leak() {
  const path = leakPath.replace('TENANT', encodeURIComponent(tenant().name));
  transaction('leak', (tx) => {
    const page = http.get(`${base}${path}`, { tags: { name: `${base}${leakPath}` } });
    const count = page.status === 200 ? page.json(env('LEAK_FIELD', 'orders')) : undefined;
    tx.completed(count === 0);
    if (typeof count === 'number') leaked.add(count);
  });
}

// overdue lists what has the prefix and was made before a time.
function overdue(prefix, before) {
  const listed = http.get(`${base}${listPath.replace('PREFIX', encodeURIComponent(prefix))}`, { tags: { name: `${base}${listPath}` } });
  const things = listed.status === 200 ? listed.json(env('LIST_FIELD', 'orders')) : undefined;
  if (!Array.isArray(things)) throw new Error(`${listPath} gave no list, but status ${listed.status}`);
  return things
    .filter((thing) => String(thing[env('LIST_NAME', 'cart')]).startsWith(prefix) && made(thing) <= before)
    .map((thing) => thing[env('LIST_ID', 'id')]);
}

function made(thing) {
  const at = Date.parse(thing[env('LIST_CREATED', 'created')]);
  if (Number.isNaN(at)) throw new Error(`it is not told when ${JSON.stringify(thing)} was made`);
  return at;
}

function milliseconds(text) {
  const [, number, unit] = /^(\d+)([smhd])$/.exec(text) ?? [];
  if (!unit) throw new Error(`SWEEP_OLDER must be a duration such as 30m, 12h or 7d, not ${text}`);
  return Number(number) * { s: 1e3, m: 6e4, h: 36e5, d: 864e5 }[unit];
}
