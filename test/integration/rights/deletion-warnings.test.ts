import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { account, accountsPath, connect, type Api } from '../crd/api.ts';
import { createNamespace, deleteNamespace, sharedControlPlane } from '../support/control-plane.ts';
import { eventually } from '../support/wait.ts';

const controlPlane = sharedControlPlane();
let api: Api;
let namespace: string;

beforeAll(async () => {
  api = connect(controlPlane.kubeconfig);
  const probe = await createNamespace(controlPlane, 'warnings');
  await putAccount(probe, 'probe', { servers: ['web'] });
  for (const path of [accountsPath(probe, 'probe'), `/api/v1/namespaces/${probe}`]) {
    await eventually(
      () => api.request('DELETE', `${path}?dryRun=All`),
      ({ warnings }) => warnings.length > 0,
      'the admission policies at work',
      30_000,
    );
  }
  await deleteNamespace(controlPlane, probe);
});

afterAll(() => api.close());

beforeEach(async () => {
  namespace = await createNamespace(controlPlane, 'warnings');
});

afterEach(() => deleteNamespace(controlPlane, namespace));

interface State {
  servers?: string[];
  /** Number of servers, where status does not name them all. */
  count?: number;
  copy?: string;
}

/** An account with the status that the operator would write. */
async function putAccount(where: string, name: string, { servers, count, copy }: State = {}): Promise<void> {
  expect((await api.request('POST', accountsPath(where), { body: account(name) })).status).toBe(201);
  const status = {
    ...(servers && { servers: { count: count ?? servers.length, names: servers } }),
    ...(copy !== undefined && { verifiedSecretRef: { name: copy, uid: 'u', resourceVersion: '1' } }),
  };
  const written = await api.request('PATCH', `${accountsPath(where, name)}/status`, {
    body: { status },
    contentType: 'application/merge-patch+json',
  });
  expect(written.status).toBe(200);
}

/** The warnings of a request, without what the API server puts before the text. */
async function warnings(method: string, path: string): Promise<string[]> {
  const answer = await api.request(method, path);
  expect(answer.status).toBe(200);
  return answer.warnings.map(text =>
    text.replace(/^Validation failed for ValidatingAdmissionPolicy '.*?' with binding '.*?': /, ''),
  );
}

const SEVEN = ['a-1', 'b-2', 'c-3', 'd-4', 'e-5', 'f-6', 'g-7'];

describe('deleting an account', () => {
  test.each<[string, State, string[]]>([
    ['that was never connected says nothing', {}, []],
    [
      'that is connected tells that the copy goes',
      { copy: 'do-verified', servers: [] },
      ['CloudAccount NS/do: its verified copy do-verified goes with it'],
    ],
    [
      'with a server names it',
      { copy: 'do-verified', servers: ['web-1'] },
      [
        'CloudAccount NS/do leaves 1 server behind: web-1; it stays at the provider and can no longer be managed; its verified copy do-verified goes with it',
      ],
    ],
    [
      'with seven servers names five',
      { copy: 'do-verified', servers: SEVEN },
      [
        'CloudAccount NS/do leaves 7 servers behind: a-1, b-2, c-3, d-4, e-5 and 2 more; they stay at the provider and can no longer be managed; its verified copy do-verified goes with it',
      ],
    ],
    [
      'with more servers than status names counts them all',
      { servers: SEVEN, count: 60 },
      [
        'CloudAccount NS/do leaves 60 servers behind: a-1, b-2, c-3, d-4, e-5 and 55 more; they stay at the provider and can no longer be managed',
      ],
    ],
  ])('%s', async (_, state, expected) => {
    await putAccount(namespace, 'do', state);
    const path = accountsPath(namespace, 'do');
    const texts = expected.map(text => text.replace('NS', namespace));
    // The dry run is how one sees it before.
    expect(await warnings('DELETE', `${path}?dryRun=All`)).toEqual(texts);
    expect(await warnings('DELETE', path)).toEqual(texts);
    expect((await api.request('GET', path)).status).toBe(404);
  });

  test.each(['Background', 'Foreground', 'Orphan'])('warns with propagation %s', async propagationPolicy => {
    await putAccount(namespace, 'do', { servers: ['web-1'] });
    expect(
      await warnings('DELETE', `${accountsPath(namespace, 'do')}?propagationPolicy=${propagationPolicy}`),
    ).toHaveLength(1);
  });

  test('names the servers also where the API server cuts long warnings', async () => {
    const names = Array.from({ length: 30 }, (_, i) => `digitalocean-production-${i}`);
    for (const name of names) await putAccount(namespace, name, { servers: SEVEN, copy: `${name}-verified` });
    const texts = await warnings('DELETE', accountsPath(namespace));
    expect(texts.length).toBeGreaterThan(5);
    for (const text of texts) expect(text).toContain('a-1, b-2, c-3, d-4, e-5 and 2 more');
    // Were none cut, this would show nothing.
    expect(texts.some(text => !text.includes('goes with it'))).toBe(true);
  });

  test('warns once for each of several that are deleted at once', async () => {
    for (const name of ['one', 'three', 'two'])
      await putAccount(namespace, name, { servers: [`web-${name}`] });
    const texts = await warnings('DELETE', accountsPath(namespace));
    expect(texts.sort()).toEqual(
      ['one', 'three', 'two'].map(
        name =>
          `CloudAccount ${namespace}/${name} leaves 1 server behind: web-${name}; it stays at the provider and can no longer be managed`,
      ),
    );
  });
});

describe('deleting a namespace', () => {
  test('names the servers of each account that has some', async () => {
    await putAccount(namespace, 'one', { servers: SEVEN, copy: 'one-verified' });
    await putAccount(namespace, 'two', { servers: ['web-1'] });
    await putAccount(namespace, 'none', { servers: [], copy: 'none-verified' });
    const path = `/api/v1/namespaces/${namespace}`;
    const expected = [
      `CloudAccount ${namespace}/one leaves 7 servers behind: a-1, b-2, c-3, d-4, e-5 and 2 more; they stay at the provider and can no longer be managed`,
      `CloudAccount ${namespace}/two leaves 1 server behind: web-1; it stays at the provider and can no longer be managed`,
    ];
    // The API server's own cache of accounts is a moment behind.
    await eventually(
      async () => (await warnings('DELETE', `${path}?dryRun=All`)).sort(),
      texts => JSON.stringify(texts) === JSON.stringify(expected),
      'warnings of the dry run',
    );
    expect((await warnings('DELETE', path)).sort()).toEqual(expected);
    await eventually(
      async () => (await api.request('GET', path)).status,
      status => status === 404,
      'the namespace is gone',
      60_000,
    );
  });

  test('without servers says nothing', async () => {
    await putAccount(namespace, 'do', { servers: [], copy: 'do-verified' });
    expect(await warnings('DELETE', `/api/v1/namespaces/${namespace}?dryRun=All`)).toEqual([]);
  });
});
