import { expect, test } from '@jest/globals';
import { Agent, request } from 'undici';
import { WRITE_VERBS } from '../control-plane/audit.ts';
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

test(
  'the requests of a service account are counted',
  async () => {
    const namespace = await createNamespace(controlPlane);
    await controlPlane.api('POST', `/api/v1/namespaces/${namespace}/serviceaccounts`, {
      metadata: { name: 'counted' },
    });
    const token = await controlPlane.serviceAccountToken({ namespace, name: 'counted' });
    const user = `system:serviceaccount:${namespace}:counted`;
    const dispatcher = new Agent({ connect: { ca: controlPlane.ca } });
    const list = async () => {
      const url = `${controlPlane.server}/api/v1/namespaces/${namespace}/secrets`;
      const response = await request(url, { dispatcher, headers: { authorization: `Bearer ${token}` } });
      await response.body.dump();
    };

    await list();
    // A Date has milliseconds: what came earlier in the same one would count as well.
    await new Promise(resolve => setTimeout(resolve, 10));
    const since = new Date();
    await list();
    await list();
    await dispatcher.close();

    expect(await controlPlane.countRequests({ user })).toBe(3);
    expect(await controlPlane.countRequests({ user, since, verbs: ['list'], resources: ['secrets'] })).toBe(
      2,
    );
    expect(await controlPlane.countRequests({ user, verbs: WRITE_VERBS })).toBe(0);
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
