import { afterEach, beforeEach, describe, expect, jest, test } from '@jest/globals';
import http from 'node:http';
import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises';
import net, { type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createKubeClient, type KubeClient, type KubeClientOptions } from './client.ts';
import type { UserEntry } from './credentials.ts';
import {
  isAlreadyExists,
  isConflict,
  isExpired,
  isForbidden,
  isInvalid,
  isKubeError,
  isNotFound,
  type KubeError,
} from './errors.ts';
import {
  WIDGETS,
  answer,
  kubeConfigFor,
  listOf,
  startScriptedServer,
  statusObject,
  until,
  widget,
  type ScriptedServer,
  type Widget,
} from './testing/scripted-server.ts';

jest.setTimeout(30_000);

const KEY = { namespace: 'ns', name: 'a' };
const SECRETS = { group: '', version: 'v1', plural: 'secrets', kind: 'Secret', namespaced: true };

let server: ScriptedServer;
let client: KubeClient;
let dir: string;

beforeEach(async () => {
  server = await startScriptedServer();
  dir = await mkdtemp(join(tmpdir(), 'kube-client-'));
  useClient();
});

afterEach(async () => {
  await client.close();
  await server.close();
  await rm(dir, { recursive: true });
});

function useClient(user: Partial<UserEntry> = {}, options: KubeClientOptions = {}): void {
  client = createKubeClient(kubeConfigFor(server.url, user), options);
}

async function failureOf(promise: Promise<unknown>): Promise<KubeError> {
  try {
    await promise;
  } catch (error) {
    if (isKubeError(error)) return error;
    throw error;
  }
  throw new Error('it did not fail');
}

describe('requests', () => {
  test('a write names apiVersion, kind and field manager', async () => {
    server.script((_request, response) => answer(response, 200, widget('a', 2)));
    await client.apply(
      WIDGETS,
      { metadata: { name: 'a', namespace: 'ns', resourceVersion: '1' } },
      { fieldManager: 'tester', force: true, subresource: 'status' },
    );
    const [request] = server.requests;
    expect(request).toMatchObject({
      method: 'PATCH',
      path: '/apis/example.com/v1/namespaces/ns/widgets/a/status',
    });
    expect(request?.headers['content-type']).toBe('application/apply-patch+yaml');
    expect(Object.fromEntries(request?.query ?? [])).toEqual({ fieldManager: 'tester', force: 'true' });
    expect(JSON.parse(request?.body ?? '')).toEqual({
      apiVersion: 'example.com/v1',
      kind: 'Widget',
      metadata: { name: 'a', namespace: 'ns', resourceVersion: '1' },
    });
  });

  test('an apply is YAML whatever its texts hold', async () => {
    server.script((_request, response) => answer(response, 200, widget('a', 1)));
    const text = 'a\u007fb\u0085c\u2028d\ufeffe🦀';
    const object = { metadata: { name: 'a', namespace: 'ns', labels: { text } } };
    await client.apply(WIDGETS, object, { fieldManager: 'tester' });
    const body = server.requests[0]?.body ?? '';
    expect(body).toContain('a\\u007fb\\u0085c\\u2028d\\ufeffe🦀');
    expect(JSON.parse(body)).toMatchObject(object);
  });

  test('a path prefix of the server address is kept', async () => {
    await client.close();
    client = createKubeClient(kubeConfigFor(`${server.url}/k8s/clusters/c-1/`));
    server.script((_request, response) => answer(response, 200, widget('a', 1)));
    await client.get(WIDGETS, KEY);
    expect(server.requests[0]?.path).toBe('/k8s/clusters/c-1/apis/example.com/v1/namespaces/ns/widgets/a');
  });

  test('metadata alone is asked for, and the deletion of a Secret does not send it back', async () => {
    server.fallback((_request, response) => answer(response, 200, widget('a', 1)));
    await client.getMetadata(SECRETS, KEY);
    await client.delete(SECRETS, KEY, { preconditions: { uid: 'u' } });
    for (const request of server.requests) {
      expect(request.headers.accept).toMatch(/^application\/json;as=PartialObjectMetadata;/);
    }
    expect(JSON.parse(server.requests[1]?.body ?? '')).toMatchObject({ preconditions: { uid: 'u' } });
  });

  test('a list is read page by page, and only its first page names a resource version', async () => {
    server.script(
      (_request, response) =>
        answer(response, 200, {
          metadata: { resourceVersion: '7', continue: 'a+b/c=' },
          items: [widget('a', 1)],
        }),
      (_request, response) => answer(response, 200, listOf(7, widget('b', 2))),
    );
    const names: string[] = [];
    for await (const page of client.listPages<Widget>(WIDGETS, { limit: 1, resourceVersion: '5' })) {
      expect(page.resourceVersion).toBe('7');
      names.push(...page.items.map(item => item.metadata.name));
    }
    expect(names).toEqual(['a', 'b']);
    expect(server.requests.map(({ query }) => [query.get('continue'), query.get('resourceVersion')])).toEqual(
      [
        [null, '5'],
        ['a+b/c=', null],
      ],
    );
  });
});

describe('answers that are none', () => {
  test('cut JSON is told as malformed and not quoted', async () => {
    server.script((_request, response) => answer(response, 200, '{"metadata":{"name":"very-secret'));
    const error = await failureOf(client.get(WIDGETS, KEY));
    expect(error.code).toBe('KUBE_MALFORMED');
    expect(error.message).not.toContain('very-secret');
  });

  test('a list without a resource version is not taken for an empty one', async () => {
    server.script((_request, response) => answer(response, 200, { hello: 'world' }));
    const error = await failureOf(client.listPages(WIDGETS).next());
    expect(error.code).toBe('KUBE_MALFORMED');
  });

  const KEYED = { metadata: { ...KEY, resourceVersion: '1' } };
  const calls: Record<string, () => Promise<unknown>> = {
    get: () => client.get(WIDGETS, KEY),
    getMetadata: () => client.getMetadata(WIDGETS, KEY),
    create: () => client.create(WIDGETS, { metadata: KEY }),
    replace: () => client.replace(WIDGETS, KEYED),
    apply: () => client.apply(WIDGETS, KEYED, { fieldManager: 'tester' }),
    patch: () => client.patch(WIDGETS, KEY, {}),
    delete: () => client.delete(WIDGETS, KEY),
  };

  test.each(
    Object.entries(calls).flatMap(([name, call]) =>
      [
        '{}',
        'null',
        '[]',
        '{"message":"welcome"}',
        '{"metadata":{"name":"other","resourceVersion":"1"}}',
      ].map(body => [name, body, call] as const),
    ),
  )('%s: a 200 with %s is not taken for the object, nor for its deletion', async (_name, body, call) => {
    server.script((_request, response) => answer(response, 200, body));
    expect(await failureOf(call())).toMatchObject({ code: 'KUBE_MALFORMED' });
  });

  test.each(
    Object.entries(calls).flatMap(([name, call]) =>
      [403, 404, 409, 410, 422].map(n => [name, n, call] as const),
    ),
  )('%s: a page with status %d is not what the API server says', async (_name, status, call) => {
    const html = { 'content-type': 'text/html' };
    server.script((_request, response) => answer(response, status, '<html>gateway</html>', html));
    const error = await failureOf(call());
    expect(error).toMatchObject({ code: 'KUBE_FOREIGN', status });
    const verdicts = [isNotFound, isConflict, isAlreadyExists, isForbidden, isExpired, isInvalid];
    expect(verdicts.filter(is => is(error))).toEqual([]);
  });

  test("what admission says of a Secret's write is not quoted", async () => {
    server.fallback((_request, response) =>
      answer(response, 422, statusObject(422, 'Invalid', 'data.token: Invalid value: "hunter2"')),
    );
    const write = await failureOf(client.create(SECRETS, { metadata: KEY }));
    expect(write).toMatchObject({ status: 422, reason: 'Invalid' });
    expect(write.message).not.toContain('hunter2');
    const other = await failureOf(client.create(WIDGETS, { metadata: KEY }));
    expect(other.message).toContain('hunter2');
  });
});

describe('what is asked for again', () => {
  test.each(['GET', 'POST'] as const)('%s after 429, when the API server says so', async method => {
    server.script(
      (_request, response) =>
        answer(response, 429, statusObject(429, 'TooManyRequests'), { 'retry-after': '1' }),
      (_request, response) => answer(response, 200, { ok: true }),
    );
    const startedAt = performance.now();
    await client.request(method, '/x');
    expect(performance.now() - startedAt).toBeGreaterThanOrEqual(990);
    expect(server.requests).toHaveLength(2);
  });

  test('a long Retry-After is left to the caller, who does not hold a worker', async () => {
    server.fallback((_request, response) =>
      answer(response, 429, statusObject(429, 'TooManyRequests'), { 'retry-after': '10' }),
    );
    const error = await failureOf(client.get(WIDGETS, KEY));
    expect(error).toMatchObject({ status: 429, retryAfterMs: 10_000 });
    expect(server.requests).toHaveLength(1);
  });

  test('not without end', async () => {
    server.fallback((_request, response) => answer(response, 503, '<html>'));
    expect(await failureOf(client.get(WIDGETS, KEY))).toMatchObject({ status: 503 });
    expect(server.requests).toHaveLength(4);
  });

  test('a read on a connection that broke, but not a write: it may have happened', async () => {
    server.fallback((_request, response) => void response.destroy());
    expect(await failureOf(client.get(WIDGETS, KEY))).toMatchObject({ code: 'KUBE_CONNECTION' });
    expect(server.requests).toHaveLength(4);
    expect(await failureOf(client.replace(WIDGETS, widget('a', 1)))).toMatchObject({
      code: 'KUBE_CONNECTION',
    });
    expect(server.requests).toHaveLength(5);
  });

  test.each([
    ['POST', 500],
    ['POST', 504],
    ['PUT', 502],
    ['GET', 500],
    ['GET', 404],
  ] as const)('not %s after %d', async (method, status) => {
    server.fallback((_request, response) => answer(response, status, statusObject(status, 'Whatever')));
    expect(await failureOf(client.request(method, '/x'))).toMatchObject({ status });
    expect(server.requests).toHaveLength(1);
  });
});

describe('time limits', () => {
  test.each<[string, (response: http.ServerResponse) => void]>([
    ['before the headers', () => undefined],
    [
      'within the body',
      response => {
        response.writeHead(200);
        response.write('{"metadata"');
      },
    ],
  ])('a server that falls silent %s', async (_when, begin) => {
    server.fallback((_request, response) => begin(response));
    const error = await failureOf(client.get(WIDGETS, KEY, { timeoutMs: 100 }));
    expect(error.code).toBe('KUBE_TIMEOUT');
  });

  test('waiting for a connection counts', async () => {
    await client.close();
    useClient({}, { connections: 1 });
    server.fallback(() => undefined);
    const hanging = failureOf(client.get(WIDGETS, KEY, { timeoutMs: 1000 }));
    expect(await failureOf(client.get(WIDGETS, KEY, { timeoutMs: 100 }))).toMatchObject({
      code: 'KUBE_TIMEOUT',
    });
    await hanging;
    server.fallback((_request, response) => answer(response, 200, widget('last', 1)));
    await client.get(WIDGETS, { ...KEY, name: 'last' });
    // The one that was given up in line was never sent, though the last one stood behind it.
    expect(server.requests.map(request => request.path.split('/').at(-1))).toEqual(['a', 'last']);
  });

  test('a write that waited for a connection, or for a busy server, is not sent once it may not be any more', async () => {
    let mayWrite = true;
    await client.close();
    useClient({}, { connections: 1, mayWrite: () => mayWrite });
    server.script((_request, response) => {
      mayWrite = false;
      answer(response, 429, statusObject(429, 'TooManyRequests'), { 'retry-after': '1' });
    });
    server.fallback((_request, response) => answer(response, 200, widget('a', 1)));
    const busy = failureOf(client.create(WIDGETS, { metadata: KEY }));
    const inLine = failureOf(client.create(WIDGETS, { metadata: KEY }));
    expect(await inLine).toMatchObject({ code: 'KUBE_ABORTED' });
    expect(await busy).toMatchObject({ code: 'KUBE_ABORTED' });
    await client.get(WIDGETS, KEY);
    expect(server.requests.map(({ method }) => method)).toEqual(['POST', 'GET']);
  });

  test('a server that never accepts', async () => {
    const silent = net.createServer().listen(0, '127.0.0.1', 1);
    await new Promise(resolve => silent.once('listening', resolve));
    const { port } = silent.address() as AddressInfo;
    silent.close();
    await client.close();
    client = createKubeClient(kubeConfigFor(`http://127.0.0.1:${port}`));
    expect(await failureOf(client.get(WIDGETS, KEY, { timeoutMs: 2000 }))).toMatchObject({
      code: 'KUBE_CONNECTION',
    });
  });

  test("the caller's signal and close() end a call at once", async () => {
    server.fallback(() => undefined);
    const abort = new AbortController();
    const aborted = failureOf(client.get(WIDGETS, KEY, { signal: abort.signal }));
    await until(() => server.requests.length === 1);
    abort.abort();
    expect((await aborted).code).toBe('KUBE_ABORTED');
    const closed = failureOf(client.replace(WIDGETS, widget('a', 1)));
    await until(() => server.requests.length === 2);
    await client.close();
    expect((await closed).code).toBe('KUBE_ABORTED');
    expect((await failureOf(client.get(WIDGETS, KEY))).code).toBe('KUBE_ABORTED');
  });

  test('an aborted wait for a retry ends at once', async () => {
    server.fallback((_request, response) => answer(response, 429, '', { 'retry-after': '5' }));
    const abort = new AbortController();
    const waiting = failureOf(client.get(WIDGETS, KEY, { signal: abort.signal }));
    await until(() => server.requests.length === 1);
    const startedAt = performance.now();
    abort.abort();
    expect((await waiting).code).toBe('KUBE_ABORTED');
    expect(performance.now() - startedAt).toBeLessThan(4000);
  });
});

/** Answers 401 to everything but this Authorization header. */
function admitOnly(authorization: () => string): void {
  server.fallback((request, response) => {
    if (request.headers.authorization === authorization()) answer(response, 200, widget('a', 1));
    else answer(response, 401, statusObject(401, 'Unauthorized'));
  });
}

describe('credentials', () => {
  test.each<[string, Partial<UserEntry>, string]>([
    ['a token', { token: 'abc' }, 'Bearer abc'],
    ['a token with a newline at its end', { token: 'abc\n' }, 'Bearer abc'],
    ['a password', { username: 'u', password: 'p:q' }, `Basic ${Buffer.from('u:p:q').toString('base64')}`],
  ])('%s', async (_name, user, header) => {
    useClient(user);
    admitOnly(() => header);
    expect(await client.get(WIDGETS, KEY)).toMatchObject({ metadata: { name: 'a' } });
  });

  test('impersonation', async () => {
    useClient({ token: 'abc', impersonateUser: 'jane' });
    admitOnly(() => 'Bearer abc');
    await client.get(WIDGETS, KEY);
    expect(server.requests[0]?.headers['impersonate-user']).toBe('jane');
  });

  test('a service account token that expired: the file is read again and the call goes through', async () => {
    const tokenFile = join(dir, 'token');
    let valid = 'first';
    await writeFile(tokenFile, 'first\n');
    useClient({ authProvider: { name: 'tokenFile', config: { tokenFile } } });
    admitOnly(() => `Bearer ${valid}`);
    await client.get(WIDGETS, KEY);
    await writeFile(tokenFile, 'second\n');
    valid = 'second';
    // Files are read at most once a second.
    await new Promise(resolve => setTimeout(resolve, 1050));
    await client.replace(WIDGETS, widget('a', 1));
    expect(server.requests.map(request => request.headers.authorization)).toEqual([
      'Bearer first',
      'Bearer first',
      'Bearer second',
    ]);
  });

  test('a refused token that is still in the file is told as 401, without a loop', async () => {
    const tokenFile = join(dir, 'token');
    await writeFile(tokenFile, 'old');
    useClient({ authProvider: { name: 'tokenFile', config: { tokenFile } } });
    admitOnly(() => 'Bearer new');
    expect(await failureOf(client.get(WIDGETS, KEY))).toMatchObject({ status: 401 });
    expect(server.requests).toHaveLength(1);
  });

  test('a token file that cannot be read names the file', async () => {
    useClient({ authProvider: { name: 'tokenFile', config: { tokenFile: join(dir, 'none') } } });
    const error = await failureOf(client.get(WIDGETS, KEY));
    expect(error).toMatchObject({ code: 'KUBE_CREDENTIALS' });
    expect(error.message).toContain('ENOENT');
  });

  test('a token with characters no token has is not sent and not quoted', async () => {
    useClient({ token: 'abc\r\nx-evil: 1' });
    const error = await failureOf(client.get(WIDGETS, KEY));
    expect(error.code).toBe('KUBE_CREDENTIALS');
    expect(error.message).not.toContain('evil');
    expect(server.requests).toHaveLength(0);
  });

  test('other auth providers are asked through the KubeConfig, and their error text stays in', async () => {
    const source = kubeConfigFor(server.url, { authProvider: { name: 'oidc', config: {} } });
    client = createKubeClient({
      ...source,
      applyToHTTPSOptions: async target => {
        target.headers['Authorization'] = 'Bearer from-oidc';
      },
    });
    admitOnly(() => 'Bearer from-oidc');
    await client.get(WIDGETS, KEY);
    const failing = createKubeClient({
      ...source,
      applyToHTTPSOptions: () => Promise.reject(new Error('refresh token xyz is not valid')),
    });
    const error = await failureOf(failing.get(WIDGETS, KEY));
    expect(error.code).toBe('KUBE_CREDENTIALS');
    expect(error.message).not.toContain('xyz');
    await failing.close();
  });
});

/** A credential plugin that hands out the content of a file and counts its runs. */
async function writePlugin(body: string): Promise<string> {
  const command = join(dir, 'plugin');
  await writeFile(command, `#!/bin/sh\necho run >> "$RUNS"\n${body}\n`);
  await chmod(command, 0o755);
  return command;
}

describe('credential plugins', () => {
  const credential = (token: string, expiry?: string): string =>
    JSON.stringify({ status: { token, ...(expiry && { expirationTimestamp: expiry }) } });

  async function usePlugin(body: string): Promise<() => Promise<number>> {
    const runs = join(dir, 'runs');
    const command = await writePlugin(body);
    useClient({
      exec: {
        command,
        env: [
          { name: 'RUNS', value: runs },
          { name: 'DIR', value: dir },
        ],
      },
    });
    return async () => {
      const { readFile } = await import('node:fs/promises');
      return (await readFile(runs, 'utf8')).trim().split('\n').length;
    };
  }

  test('runs once for many calls', async () => {
    const runs = await usePlugin(`echo '${credential('t1')}'`);
    admitOnly(() => 'Bearer t1');
    await Promise.all(Array.from({ length: 20 }, () => client.get(WIDGETS, KEY)));
    expect(await runs()).toBe(1);
  });

  test('runs again when its credential was refused', async () => {
    let valid = 't1';
    await writeFile(join(dir, 'credential'), credential('t1'));
    const runs = await usePlugin('cat "$DIR/credential"');
    admitOnly(() => `Bearer ${valid}`);
    await client.get(WIDGETS, KEY);
    valid = 't2';
    await writeFile(join(dir, 'credential'), credential('t2'));
    await new Promise(resolve => setTimeout(resolve, 1050));
    await client.get(WIDGETS, KEY);
    expect(await runs()).toBe(2);
  });

  test('is told the protocol version', async () => {
    await usePlugin(
      'printf %s "$KUBERNETES_EXEC_INFO" | grep -q \'"kind":"ExecCredential"\' && echo \'{"status":{"token":"t1"}}\'',
    );
    admitOnly(() => 'Bearer t1');
    expect(await client.get(WIDGETS, KEY)).toBeDefined();
  });

  test.each([
    ['fails', 'echo top-secret >&2; echo top-secret; exit 3', 'code 3'],
    ['prints no JSON', 'echo top-secret', 'printed no ExecCredential'],
  ])('one that %s is told without its output', async (_name, body, text) => {
    await usePlugin(body);
    const error = await failureOf(client.get(WIDGETS, KEY));
    expect(error.code).toBe('KUBE_CREDENTIALS');
    expect(error.message).toContain(text);
    expect(error.message).not.toContain('top-secret');
  });

  test('one that is not installed is named', async () => {
    useClient({ exec: { command: join(dir, 'no-such-plugin') } });
    const error = await failureOf(client.get(WIDGETS, KEY));
    expect(error.message).toContain('no-such-plugin cannot run: ENOENT');
  });
});

describe('proxy-url', () => {
  test('calls go through the proxy', async () => {
    let passed = 0;
    const proxy = http.createServer((incoming, response) => {
      passed++;
      const forwarded = http.request(incoming.url ?? '', {
        method: incoming.method,
        headers: incoming.headers,
      });
      forwarded.on('response', answered => {
        response.writeHead(answered.statusCode ?? 502, answered.headers);
        answered.pipe(response);
      });
      incoming.pipe(forwarded);
    });
    proxy.listen(0, '127.0.0.1');
    await new Promise(resolve => proxy.once('listening', resolve));
    const { port } = proxy.address() as AddressInfo;
    client = createKubeClient({
      ...kubeConfigFor(server.url, { token: 'abc' }),
      getCurrentCluster: () => ({ name: 'c', server: server.url, proxyUrl: `http://127.0.0.1:${port}` }),
    });
    admitOnly(() => 'Bearer abc');
    await client.get(WIDGETS, KEY);
    expect(passed).toBe(1);
    proxy.closeAllConnections();
    proxy.close();
  });
});
