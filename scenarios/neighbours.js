// neighbours.js: a tenant of the shop in fixtures/shop that asks for more than its
// quota is refused the rest, and its neighbours are served all the same.
//
// Transactions: "over-quota" is a loud tenant that sends three quotas at once, and
// is completed when a part was refused with 429, all else was served, and that was
// no more than two quotas, as a burst may reach into the next second. "beside-the-loud"
// is one request of any other tenant, completed when it was served. Its latency is
// for a gate: latency p95 of beside-the-loud <= 300ms.
//
//   TARGET_URL   the shop's front
//   LOUD_CLASS   class of the tenants that ask for too much; default loud
//   QUOTA        requests that a tenant may send each second; default 20
//   ASK_PATH     what all of them ask for; default /products
//   tenants:     of the test: some of the loud class, and some of another. Each has
//                its turn, so that of one each, every second iteration is a burst
import http from 'k6/http';
import { tenant, transaction } from 'k6/x/resilience';

const url = `${__ENV.TARGET_URL}${__ENV.ASK_PATH || '/products'}`;
const loudClass = __ENV.LOUD_CLASS || 'loud';
const quota = Number(__ENV.QUOTA || 20);
if (!(quota >= 1)) throw new Error(`QUOTA must be a number from 1, not ${__ENV.QUOTA}`);

const refusing = { responseCallback: http.expectedStatuses({ min: 200, max: 299 }, 429) };

export default function () {
  if (tenant().class === loudClass) loud();
  else quiet();
}

export function loud() {
  transaction('over-quota', (tx) => {
    const burst = Array.from({ length: Math.ceil(3 * quota) }, () => ['GET', url, null, refusing]);
    const answers = http.batch(burst);
    const served = answers.filter(done).length;
    const refused = answers.filter((answer) => answer.status === 429).length;
    tx.completed(refused > 0 && served + refused === answers.length && served <= 2 * quota);
  });
}

export function quiet() {
  transaction('beside-the-loud', (tx) => tx.completed(done(http.get(url))));
}

function done(answer) {
  return answer.status >= 200 && answer.status < 300;
}
