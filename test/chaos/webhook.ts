import { createServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import type { ControlPlane } from '../control-plane/control-plane.ts';
import { operatorServiceAccount } from '../integration/support/control-plane.ts';

/** What the operator writes, as far as somebody's policy may have something against it. */
export const DENIABLE = ['Secrets', 'status'] as const;
export type Deniable = (typeof DENIABLE)[number];

/** How: a policy without a code is a 400 to the caller, one may give 403, and one that is down is a 500. */
export const DENIALS = ['without a code', 'forbidden', 'down', 'with all that it saw'] as const;
export type Denial = (typeof DENIALS)[number];

/** Validating webhooks of somebody else, which judge what the operator writes, and it alone. */
export interface Webhook {
  deny(what: Deniable, how: Denial): void;
  allow(what: Deniable): void;
  close(): Promise<void>;
}

interface Review {
  request: { uid: string; object: unknown };
}

export async function startWebhook(
  controlPlane: ControlPlane,
  namespaces: readonly string[],
): Promise<Webhook> {
  const denied = new Map<Deniable, Denial>();
  const server = createServer(
    controlPlane.issueCertificate('webhook', { hosts: ['127.0.0.1'] }),
    (request, response) => {
      void (async () => {
        const parts: Buffer[] = [];
        for await (const part of request) parts.push(part as Buffer);
        const { request: asked } = JSON.parse(Buffer.concat(parts).toString()) as Review;
        const what = DENIABLE.find(kind => request.url?.startsWith(`/${kind}`)) ?? 'Secrets';
        const how = denied.get(what);
        if (how === 'down') return void response.writeHead(500).end();
        const answer = { uid: asked.uid, allowed: how === undefined, ...statusOf(how, asked.object) };
        response.setHeader('content-type', 'application/json');
        response.end(
          JSON.stringify({
            apiVersion: 'admission.k8s.io/v1',
            kind: 'AdmissionReview',
            response: answer,
          }),
        );
      })().catch(() => response.destroy());
    },
  );
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  const { namespace, name } = operatorServiceAccount();
  const caBundle = Buffer.from(controlPlane.ca).toString('base64');
  const webhook = (what: Deniable, rule: object): object => ({
    name: `${what.toLowerCase()}.chaos.example`,
    admissionReviewVersions: ['v1'],
    sideEffects: 'None',
    failurePolicy: 'Fail',
    timeoutSeconds: 2,
    clientConfig: { url: `https://127.0.0.1:${port}/${what}`, caBundle },
    rules: [{ apiVersions: ['*'], operations: ['CREATE', 'UPDATE'], ...rule }],
    namespaceSelector: {
      matchExpressions: [{ key: 'kubernetes.io/metadata.name', operator: 'In', values: namespaces }],
    },
    matchConditions: [
      {
        name: 'operator',
        expression: `request.userInfo.username == 'system:serviceaccount:${namespace}:${name}'`,
      },
    ],
  });
  const created = await controlPlane.api(
    'POST',
    '/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations',
    {
      metadata: { name: 'chaos' },
      webhooks: [
        webhook('Secrets', { apiGroups: [''], resources: ['secrets'] }),
        webhook('status', { apiGroups: ['strackt.io'], resources: ['cloudaccounts/status'] }),
      ],
    },
  );
  if (created.status !== 201) throw new Error(`webhooks: ${JSON.stringify(created.body)}`);
  return {
    deny: (what, how) => void denied.set(what, how),
    allow: what => void denied.delete(what),
    async close() {
      server.closeAllConnections();
      await new Promise(resolve => server.close(resolve));
    },
  };
}

function statusOf(how: Denial | undefined, object: unknown): object {
  switch (how) {
    case 'without a code':
      return { status: { message: 'not in this house' } };
    case 'forbidden':
      return { status: { code: 403, reason: 'Forbidden', message: 'not in this house' } };
    // A policy that repeats what it was shown: a copy, bytes included.
    case 'with all that it saw':
      return { status: { message: `denied: ${JSON.stringify(object)}` } };
    default:
      return {};
  }
}
