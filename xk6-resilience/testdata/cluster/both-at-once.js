// Two faults on the same pods that overlap, from one function that waits for
// neither.
import http from 'k6/http';
import { sleep } from 'k6';
import { PodDisruptor } from 'k6/x/resilience';

const url = __ENV.TARGET_URL || 'http://shop.default.svc';

export const options = {
  scenarios: {
    load: { executor: 'constant-arrival-rate', rate: 50, preAllocatedVUs: 20, maxVUs: 100, duration: '40s', exec: 'load' },
    disrupt: { executor: 'shared-iterations', iterations: 1, vus: 1, startTime: '5s', exec: 'disrupt' },
  },
};

export function load() {
  http.get(`${url}/`);
}

export function disrupt() {
  const disruptor = new PodDisruptor({
    namespace: __ENV.NAMESPACE || 'default',
    select: { labels: { app: __ENV.APP || 'shop' } },
  });
  const port = Number(__ENV.PORT || 80);
  disruptor.injectHTTPFaults({ port, averageDelay: '100ms' }, '15s', { name: 'slow' });
  sleep(5);
  disruptor.injectHTTPFaults({ port, errorRate: 0.2, errorCode: 503 }, '5s', { name: 'failing' });
}
