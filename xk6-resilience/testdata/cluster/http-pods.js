// Delays and fails requests to pods by their labels, and leaves a path alone.
import http from 'k6/http';
import { PodDisruptor } from 'k6/x/disruptor';

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
  http.get(`${url}/health`);
}

export function disrupt() {
  const disruptor = new PodDisruptor(
    { namespace: __ENV.NAMESPACE || 'default', select: { labels: { app: __ENV.APP || 'shop' } } },
    { injectTimeout: '60s' },
  );
  const fault = {
    port: Number(__ENV.PORT || 80),
    averageDelay: '50ms',
    delayVariation: '10ms',
    errorRate: 0.1,
    errorCode: 500,
    errorBody: '{"error": "on purpose"}',
    exclude: '/health',
  };
  disruptor.injectHTTPFaults(fault, length, { proxyPort: 18080 });
}
