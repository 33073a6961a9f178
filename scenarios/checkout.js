// checkout.js: a customer of the shop in fixtures/shop browses, fills a cart,
// checks out, and then looks whether the order is really there.
//
// The transaction "checkout" is accepted when no request failed, and completed
// when the order that comes back has the right total and is paid, or written
// down to be paid later. The check "paid-at-once" tells how many are paid.
//
//   TARGET_URL   the shop's front
//   SHOP_TOKEN   bearer token of the customer's tenant; default tenant-k6
//   data file    a column "token", used instead of SHOP_TOKEN
import http from 'k6/http';
import { check } from 'k6';
import { row, transaction } from 'k6/x/resilience';

const base = __ENV.TARGET_URL;

export default function () {
  const token = row()?.token ?? (__ENV.SHOP_TOKEN || 'tenant-k6');
  const headers = { Authorization: `Bearer ${token}`, 'Content-Type': 'application/json' };

  transaction('checkout', (tx) => {
    const browsed = tx.step('browse', () => http.get(`${base}/products`, { headers }));
    if (browsed.status !== 200) return;
    const products = browsed.json('products');
    const product = products[Math.floor(Math.random() * products.length)];
    const quantity = 1 + Math.floor(Math.random() * 3);

    const carted = tx.step('cart', () =>
      http.post(`${base}/cart`, JSON.stringify({ product: product.id, quantity }), { headers }));
    if (carted.status !== 201) return;

    const bought = tx.step('checkout', () =>
      http.post(`${base}/checkout`, JSON.stringify({ cart: carted.json('id') }), {
        headers: { ...headers, 'Idempotency-Key': crypto.randomUUID() },
      }));
    if (bought.status !== 201) return;
    check(bought, { 'paid-at-once': (r) => r.json('state') === 'paid' });

    // One name for all orders, or every order would be a route of its own.
    const found = tx.step('verify', () =>
      http.get(`${base}/orders/${bought.json('id')}`, { headers, tags: { name: `${base}/orders/ID` } }));
    if (found.status !== 200) {
      tx.completed(false);
      return;
    }
    const order = found.json();
    tx.completed(order.total === quantity * product.price && ['paid', 'payment-pending'].includes(order.state));
  });
}
