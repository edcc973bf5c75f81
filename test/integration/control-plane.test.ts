import { expect, test } from '@jest/globals';
import { createNamespace, sharedControlPlane } from './support/control-plane.ts';

const TIMEOUT_MS = 60_000;
const controlPlane = sharedControlPlane();

interface Named {
  metadata: { name: string; uid: string };
}

test(
  'a deleted owner takes what it owns along',
  async () => {
    const namespace = await createNamespace(controlPlane);
    const path = `/api/v1/namespaces/${namespace}/configmaps`;
    const owner = await controlPlane.api<Named>('POST', path, { metadata: { name: 'owner' } });
    const { name, uid } = owner.body.metadata;
    await controlPlane.api('POST', path, {
      metadata: { name: 'owned', ownerReferences: [{ apiVersion: 'v1', kind: 'ConfigMap', name, uid }] },
    });

    await controlPlane.api('DELETE', `${path}/owner`);

    await expect(status(`${path}/owned`, 404)).resolves.toBe(404);
  },
  TIMEOUT_MS,
);

test(
  'a deleted namespace is emptied and goes',
  async () => {
    const namespace = await createNamespace(controlPlane);
    await controlPlane.api('POST', `/api/v1/namespaces/${namespace}/configmaps`, {
      metadata: { name: 'inside' },
    });

    await controlPlane.api('DELETE', `/api/v1/namespaces/${namespace}`);

    await expect(status(`/api/v1/namespaces/${namespace}`, 404)).resolves.toBe(404);
  },
  TIMEOUT_MS,
);

/** The status code of a GET, as soon as it is the awaited one. */
async function status(path: string, awaited: number): Promise<number> {
  const deadline = performance.now() + 30_000;
  for (;;) {
    const answer = await controlPlane.api('GET', path);
    if (answer.status === awaited || performance.now() > deadline) return answer.status;
    await new Promise(resolve => setTimeout(resolve, 50));
  }
}
