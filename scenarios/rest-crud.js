// rest-crud.js: create, read, change and delete one resource of a REST API.
//
// The transaction "crud" is accepted when every step was, and completed when
// what was read is what was written, and is gone after it was deleted.
//
//   TARGET_URL   the system under test
//   COLLECTION   path of the collection; default /items
//   ID_FIELD     field of the answer to POST that holds the new id; default id
//   FIELD        field that is written and compared; default name
//   TOKEN        bearer token, when one is needed
//   data file    its row is the body that is created; default {FIELD: random text}
import http from 'k6/http';
import { row, transaction } from 'k6/x/resilience';

const collection = `${__ENV.TARGET_URL}${__ENV.COLLECTION || '/items'}`;
const idField = __ENV.ID_FIELD || 'id';
const field = __ENV.FIELD || 'name';
const headers = { 'Content-Type': 'application/json' };
if (__ENV.TOKEN) headers.Authorization = `Bearer ${__ENV.TOKEN}`;

// One name for all resources, or each would be a route of its own.
const params = { headers, tags: { name: `${collection}/ID` } };
// A resource that is gone answers 404 or 410, and that is no failed request.
const gone = { ...params, responseCallback: http.expectedStatuses({ min: 200, max: 399 }, 404, 410) };

const failed = (res) => res.status === 0 || res.status >= 400;
const text = () => Math.random().toString(36).slice(2);

export default function () {
  const body = { ...(row() ?? { [field]: text() }) };

  transaction('crud', (tx) => {
    const created = tx.step('create', () => http.post(collection, JSON.stringify(body), { headers }));
    if (failed(created)) return;
    const url = `${collection}/${encodeURIComponent(created.json(idField))}`;

    const read = tx.step('read', () => http.get(url, params));
    if (failed(read)) return;
    let right = read.json(field) === body[field];

    body[field] = text();
    if (failed(tx.step('change', () => http.put(url, JSON.stringify(body), params)))) return;
    const again = tx.step('read again', () => http.get(url, params));
    if (failed(again)) return;
    right = right && again.json(field) === body[field];

    if (failed(tx.step('delete', () => http.del(url, null, params)))) return;
    const after = tx.step('look', () => http.get(url, gone));
    tx.completed(right && [404, 410].includes(after.status));
  });
}
