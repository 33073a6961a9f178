// isolation.js: tenants of the shop in fixtures/shop order once, find what they
// ordered, and do not see what others did.
//
// Transactions: "order-once" orders a cart twice with one key, and is completed
// when that made one order; "read-own" is completed when the order is found soon,
// with the right total; "read-foreign" is another tenant that asks for it, and is
// completed when that is refused.
//
//   TARGET_URL   the shop's front
//   tenants:     of the test: at least two, with tokens that the shop knows
import http from 'k6/http';
import { actAs, eventually, idempotent, tenant, tenants, transaction } from 'k6/x/resilience';

const base = __ENV.TARGET_URL;
const json = { headers: { 'Content-Type': 'application/json' } };
const oneOrder = { tags: { name: `${base}/orders/ID` } }; // or every order would be a route of its own
const refusing = { ...oneOrder, responseCallback: http.expectedStatuses(401, 403, 404) };

export default function () {
  const me = tenant();
  const cart = `${me.prefix}${crypto.randomUUID()}`;
  let order;

  transaction('order-once', (tx) => {
    const carted = tx.step('cart', () => http.post(`${base}/cart`, JSON.stringify({ cart, product: product(), quantity: 2 }), json));
    if (carted.status !== 201) return;
    tx.completed(idempotent((key) => {
      const bought = tx.step('checkout', () =>
        http.post(`${base}/checkout`, JSON.stringify({ cart }), { headers: { ...json.headers, 'Idempotency-Key': key } }));
      order = order ?? { id: bought.json('id'), total: carted.json('total') };
    }, { state: () => http.get(`${base}/orders?cart=${cart}`).json('orders'), within: '5s' }));
  });

  if (!order) return;
  transaction('read-own', (tx) => tx.completed(eventually(() => {
    const found = http.get(`${base}/orders/${order.id}`, oneOrder);
    return found.status === 200 && found.json('total') === order.total;
  }, { within: '2s' })));

  const others = tenants().filter((name) => name !== me.name);
  if (others.length === 0) return;
  transaction('read-foreign', (tx) => {
    const seen = actAs(others[Math.floor(Math.random() * others.length)], () => http.get(`${base}/orders/${order.id}`, refusing));
    tx.completed([401, 403, 404].includes(seen.status));
  });
}

function product() {
  const products = http.get(`${base}/products`).json('products');
  return products[Math.floor(Math.random() * products.length)].id;
}
