// Loses all packets to a port of the pods.
import http from 'k6/http';
import { PodDisruptor } from 'k6/x/disruptor';

const url = __ENV.TARGET_URL || 'http://shop.default.svc';
const length = __ENV.LENGTH || '10s';

export const options = {
  scenarios: {
    load: { executor: 'constant-arrival-rate', rate: 40, preAllocatedVUs: 100, maxVUs: 300, duration: '30s', exec: 'load' },
    disrupt: { executor: 'shared-iterations', iterations: 1, vus: 1, startTime: '5s', exec: 'disrupt' },
  },
};

export function load() {
  http.get(`${url}/`, { timeout: '2s' });
}

export function disrupt() {
  const disruptor = new PodDisruptor({
    namespace: __ENV.NAMESPACE || 'default',
    select: { labels: { app: __ENV.APP || 'shop' } },
  });
  disruptor.injectNetworkFaults({ port: Number(__ENV.PORT || 80), protocol: 'tcp' }, length);
}
