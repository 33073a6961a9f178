// Delays every request to a service and fails a tenth of them.
import http from 'k6/http';
import { ServiceDisruptor } from 'k6/x/disruptor';

const url = __ENV.TARGET_URL || 'http://shop.default.svc';
const length = __ENV.LENGTH || '10s';

export const options = {
  scenarios: {
    load: { executor: 'constant-arrival-rate', rate: 50, preAllocatedVUs: 20, maxVUs: 100, duration: '30s', exec: 'load' },
    disrupt: { executor: 'shared-iterations', iterations: 1, vus: 1, startTime: '5s', exec: 'disrupt' },
  },
};

export function load() {
  http.get(`${url}/`);
}

export function disrupt() {
  if (__ENV.SKIP_FAULTS === '1') return;
  const disruptor = new ServiceDisruptor(__ENV.SERVICE || 'shop', __ENV.NAMESPACE || 'default');
  if (disruptor.targets().length === 0) throw new Error('the service has no pods');
  disruptor.injectHTTPFaults({ averageDelay: '50ms', errorRate: 0.1, errorCode: 500 }, length);
}
