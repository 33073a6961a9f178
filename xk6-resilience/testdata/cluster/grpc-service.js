// Delays every gRPC call to a service and fails a tenth of them.
import grpc from 'k6/net/grpc';
import { ServiceDisruptor } from 'k6/x/disruptor';

const address = __ENV.GRPC_ADDRESS || 'shop.default.svc:9000';
const length = __ENV.LENGTH || '10s';
const client = new grpc.Client();

export const options = {
  scenarios: {
    load: { executor: 'constant-arrival-rate', rate: 40, preAllocatedVUs: 60, maxVUs: 100, duration: '30s', exec: 'load' },
    disrupt: { executor: 'shared-iterations', iterations: 1, vus: 1, startTime: '5s', exec: 'disrupt' },
  },
};

export function load() {
  client.connect(address, { plaintext: true, reflect: true });
  client.invoke('grpc.health.v1.Health/Check', {});
  client.close();
}

export function disrupt() {
  const disruptor = new ServiceDisruptor(__ENV.SERVICE || 'shop', __ENV.NAMESPACE || 'default');
  const fault = {
    port: Number(__ENV.GRPC_PORT || 9000),
    averageDelay: '300ms',
    errorRate: 0.1,
    statusCode: grpc.StatusInternal,
    statusMessage: 'on purpose',
    exclude: 'grpc.reflection.v1.ServerReflection,grpc.reflection.v1alpha.ServerReflection',
  };
  disruptor.injectGrpcFaults(fault, length);
}
