// http-get.js: get one page or API resource and look whether it is the right one.
//
// The transaction "get" is accepted when the answer is not an error. With
// CONTAINS it is also completed when the body holds that text; without, nobody
// looks at the content, and reliability can not be judged.
//
//   TARGET_URL   the system under test
//   GET_PATH     what to get; default /
//   CONTAINS     text that a right answer contains
//   TOKEN        bearer token, when one is needed
//   data file    a column "path", used instead of GET_PATH
import http from 'k6/http';
import { row, transaction } from 'k6/x/resilience';

const headers = __ENV.TOKEN ? { Authorization: `Bearer ${__ENV.TOKEN}` } : {};

export default function () {
  const path = row()?.path ?? (__ENV.GET_PATH || '/');

  transaction('get', (tx) => {
    const res = http.get(`${__ENV.TARGET_URL}${path}`, { headers });
    if (__ENV.CONTAINS && res.status < 400 && res.status > 0) {
      tx.completed(String(res.body).includes(__ENV.CONTAINS));
    }
  });
}
