import { createServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import type { ControlPlane } from '../../control-plane/control-plane.ts';

/** An admission webhook of somebody else, for one kind of object in one namespace. */
export interface Webhook {
  /** `deny`: says no without a code, which the API server answers with 400. `down`: 500. `allow`: as if it were not there. */
  mode: 'allow' | 'deny' | 'down';
  /** How often it was asked while it did not allow. */
  hits: number;
  close(): Promise<void>;
}

export interface WebhookTarget {
  group: string;
  version: string;
  /** Such as `secrets` or `cloudaccounts/status`. */
  resource: string;
  operations: readonly ('CREATE' | 'UPDATE' | 'DELETE')[];
}

export const DENIAL = 'the freeze of the year is on';

/** Starts a webhook and has the API server ask it. */
export async function startWebhook(
  controlPlane: ControlPlane,
  namespace: string,
  { group, version, resource, operations }: WebhookTarget,
): Promise<Webhook> {
  const { cert, key } = controlPlane.issueCertificate('webhook', { hosts: ['127.0.0.1'] });
  const server = createServer({ cert, key }, (request, response) => {
    let text = '';
    request.on('data', chunk => (text += chunk));
    request.on('end', () => {
      if (webhook.mode !== 'allow') webhook.hits += 1;
      if (webhook.mode === 'down') return request.socket.destroy();
      const { uid } = (JSON.parse(text) as { request: { uid: string } }).request;
      const allowed = webhook.mode === 'allow';
      const answer = { uid, allowed, ...(!allowed && { status: { message: DENIAL } }) };
      response.setHeader('content-type', 'application/json');
      response.end(
        JSON.stringify({ apiVersion: 'admission.k8s.io/v1', kind: 'AdmissionReview', response: answer }),
      );
    });
  });
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve));
  const name = `${namespace}.${resource.replace('/', '.')}.example.com`;
  const path = '/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations';
  const webhook: Webhook = {
    mode: 'allow',
    hits: 0,
    async close() {
      await controlPlane.api('DELETE', `${path}/${name}`);
      server.closeAllConnections();
      await new Promise(resolve => server.close(resolve));
    },
  };
  const { status, body } = await controlPlane.api('POST', path, {
    metadata: { name },
    webhooks: [
      {
        name,
        admissionReviewVersions: ['v1'],
        sideEffects: 'None',
        timeoutSeconds: 2,
        failurePolicy: 'Fail',
        namespaceSelector: { matchLabels: { 'kubernetes.io/metadata.name': namespace } },
        clientConfig: {
          url: `https://127.0.0.1:${(server.address() as AddressInfo).port}/`,
          caBundle: Buffer.from(controlPlane.ca).toString('base64'),
        },
        rules: [{ apiGroups: [group], apiVersions: [version], operations, resources: [resource] }],
      },
    ],
  });
  if (status !== 201) throw new Error(`the webhook was not registered: ${status} ${JSON.stringify(body)}`);
  return webhook;
}
