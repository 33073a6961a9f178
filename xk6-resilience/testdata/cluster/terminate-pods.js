// Terminates one of the pods behind a service under load.
import http from 'k6/http';
import { ServiceDisruptor } from 'k6/x/disruptor';

const url = __ENV.TARGET_URL || 'http://shop.default.svc';

export const options = {
  scenarios: {
    load: { executor: 'constant-arrival-rate', rate: 50, preAllocatedVUs: 20, maxVUs: 100, duration: '30s', exec: 'load' },
    disrupt: { executor: 'shared-iterations', iterations: 1, vus: 1, startTime: '5s', exec: 'disrupt' },
  },
};

export function load() {
  http.get(`${url}/`);
}

export async function disrupt() {
  const disruptor = new ServiceDisruptor(__ENV.SERVICE || 'shop', __ENV.NAMESPACE || 'default');
  const gone = await disruptor.terminatePods({ count: 1, timeout: '30s' });
  if (gone.length !== 1) throw new Error(`terminated: ${gone}`);
}
