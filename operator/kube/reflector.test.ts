import { afterEach, beforeEach, describe, expect, jest, test } from '@jest/globals';
import type http from 'node:http';
import { createKubeClient, type KubeClient } from './client.ts';
import type { KubeError } from './errors.ts';
import { createReflector, type Reflector, type ReflectorOptions } from './reflector.ts';
import { createStore, type WritableStore } from './store.ts';
import {
  WIDGETS,
  answer,
  bookmark,
  eventLine,
  kubeConfigFor,
  listOf,
  openWatch,
  startScriptedServer,
  statusObject,
  until,
  widget,
  type Handler,
  type ScriptedServer,
  type Widget,
} from './testing/scripted-server.ts';

jest.setTimeout(30_000);

let server: ScriptedServer;
let client: KubeClient;
let store: WritableStore<Widget>;
let stop: AbortController;
let faults: KubeError[];
let running: Promise<void> | undefined;

beforeEach(async () => {
  server = await startScriptedServer();
  client = createKubeClient(kubeConfigFor(server.url), { timeoutMs: 10_000 });
  store = createStore<Widget>();
  stop = new AbortController();
  faults = [];
  running = undefined;
});

afterEach(async () => {
  stop.abort();
  await running;
  await client.close();
  await server.close();
});

function start(options: Partial<ReflectorOptions<Widget>> = {}): Reflector {
  const reflector = createReflector<Widget>({
    client,
    resource: WIDGETS,
    store,
    backoff: { baseMs: 5, maxMs: 20 },
    onFault: error => faults.push(error),
    ...options,
  });
  running = reflector.run(stop.signal);
  return reflector;
}

const lists = (resourceVersion: number, ...items: Widget[]): Handler => {
  return (_request, response) => answer(response, 200, listOf(resourceVersion, ...items));
};
const watches = (...lines: string[]): Handler => {
  return (_request, response) => openWatch(response, ...lines);
};
const refuses = (status: number, reason: string, headers: Record<string, string> = {}): Handler => {
  return (_request, response) => answer(response, status, statusObject(status, reason), headers);
};
const expired = eventLine('ERROR', statusObject(410, 'Expired', 'too old resource version'));

function names(): string[] {
  return store
    .list()
    .map(object => object.metadata.name)
    .sort();
}

/** Resource versions that watches asked for, in order. */
function watchedFrom(): (string | null)[] {
  return server.requests.filter(request => request.isWatch).map(({ query }) => query.get('resourceVersion'));
}

function listCount(): number {
  return server.requests.filter(request => !request.isWatch && !request.query.has('continue')).length;
}

describe('list and watch', () => {
  test('the store follows the list and every event', async () => {
    server.script(
      lists(10, widget('a', 1), widget('b', 2)),
      watches(
        eventLine('ADDED', widget('c', 11)),
        eventLine('MODIFIED', widget('a', 12, 7)),
        eventLine('DELETED', widget('b', 13)),
      ),
    );
    const reflector = start();
    await reflector.synced;
    await until(() => store.get('ns/b') === undefined);
    expect(names()).toEqual(['a', 'c']);
    expect(store.get('ns/a')?.spec?.size).toBe(7);
    expect(watchedFrom()).toEqual(['10']);
    expect(faults).toEqual([]);
  });

  test('selectors, namespace and metadata-only reach both requests', async () => {
    server.script(lists(1), watches());
    start({ namespace: 'ns', fieldSelector: 'type=x,a!=b', labelSelector: 'l in (1,2)', metadataOnly: true });
    await until(() => server.requests.length === 2);
    for (const request of server.requests) {
      expect(request.path).toBe('/apis/example.com/v1/namespaces/ns/widgets');
      expect(request.query.get('fieldSelector')).toBe('type=x,a!=b');
      expect(request.query.get('labelSelector')).toBe('l in (1,2)');
    }
    expect(server.requests[0]?.headers.accept).toContain('as=PartialObjectMetadataList;');
    expect(server.requests[1]?.headers.accept).toContain('as=PartialObjectMetadata;');
    expect(server.requests[1]?.query.get('allowWatchBookmarks')).toBe('true');
    const seconds = Number(server.requests[1]?.query.get('timeoutSeconds'));
    expect(seconds).toBeGreaterThanOrEqual(240);
    expect(seconds).toBeLessThan(480);
  });

  test('transform decides what is stored, and what it no longer keeps goes', async () => {
    server.script(
      lists(10, widget('kept', 1, 1), widget('left', 2, 0)),
      watches(eventLine('MODIFIED', widget('kept', 11, 0)), eventLine('MODIFIED', widget('left', 12, 1))),
    );
    start({
      transform: object => (object.spec?.size === 1 ? { metadata: object.metadata } : undefined),
    });
    await until(() => names().join() === 'left');
    expect(store.get('ns/left')).toEqual({ metadata: widget('left', 12).metadata });
  });

  test('characters of several bytes survive any chunk', async () => {
    const line = Buffer.from(eventLine('ADDED', { ...widget('a', 11), note: '日本€😀' }));
    server.script(lists(10), async (_request, response) => {
      openWatch(response);
      for (const byte of line) {
        response.write(Buffer.of(byte));
        await new Promise(resolve => setImmediate(resolve));
      }
    });
    start();
    await until(() => store.size === 1);
    expect(store.get('ns/a')).toMatchObject({ note: '日本€😀' });
  });

  test('a very large list arrives in pages, and a very large event in one piece', async () => {
    const pages = 20;
    server.fallback((request, response) => {
      if (request.isWatch) {
        openWatch(response, eventLine('ADDED', { ...widget('huge', 20_000), note: 'x'.repeat(30_000_000) }));
        return;
      }
      const page = Number(request.query.get('continue') ?? '0');
      const items = Array.from({ length: 500 }, (_, index) =>
        widget(`w-${page}-${index}`, page * 500 + index + 1),
      );
      answer(response, 200, {
        metadata: { resourceVersion: '19999', ...(page < pages - 1 && { continue: String(page + 1) }) },
        items,
      });
    });
    const reflector = start();
    await reflector.synced;
    expect(store.size).toBe(10_000);
    await until(() => store.size === 10_001);
    expect(faults).toEqual([]);
  });

  test('the end that the API server sets is no fault, and the watch goes on from the bookmark', async () => {
    server.script(
      lists(10),
      async (_request, response) => {
        openWatch(response, bookmark(50));
        await new Promise(resolve => setTimeout(resolve, 1100));
        response.end();
      },
      watches(eventLine('ADDED', widget('a', 51))),
    );
    start();
    await until(() => store.size === 1);
    expect(watchedFrom()).toEqual(['10', '50']);
    expect(listCount()).toBe(1);
    expect(faults).toEqual([]);
  });
});

/** How a watch that has brought a bookmark at 50 may end; the next one must go on from there, without a list. */
const BREAKS: [string, (response: http.ServerResponse) => void | Promise<void>][] = [
  ['a TCP reset', response => void response.socket?.resetAndDestroy()],
  ['an abrupt FIN', response => void response.socket?.destroy()],
  [
    'an end within an event',
    response => {
      response.end('{"type":"ADDED","object":{"metadata":{"name":"half"');
    },
  ],
  [
    'an ERROR event of an overloaded server',
    response => void response.write(eventLine('ERROR', statusObject(500, 'InternalError'))),
  ],
];

describe('a watch that breaks goes on from where it was', () => {
  test.each(BREAKS)('%s', async (_name, breakIt) => {
    server.script(
      lists(10, widget('a', 1)),
      async (_request, response) => {
        // One chunk: who has seen the object has seen the bookmark too.
        openWatch(response, eventLine('ADDED', widget('b', 49)) + bookmark(50));
        await until(() => store.size === 2);
        await breakIt(response);
      },
      watches(eventLine('ADDED', widget('c', 51))),
    );
    start();
    await until(() => store.size === 3);
    expect(watchedFrom()).toEqual(['10', '50']);
    expect(listCount()).toBe(1);
    expect(faults).toHaveLength(1);
  });

  test.each([
    [500, 'InternalError'],
    [503, 'ServiceUnavailable'],
    [429, 'TooManyRequests'],
  ])('HTTP %d', async (status, reason) => {
    server.script(lists(10), refuses(status, reason), watches(eventLine('ADDED', widget('b', 51))));
    start();
    await until(() => store.size === 1);
    expect(watchedFrom()).toEqual(['10', '10']);
    expect(listCount()).toBe(1);
  });

  test('a connection on which no byte comes any more', async () => {
    server.script(lists(10), watches(bookmark(50)), watches(eventLine('ADDED', widget('b', 51))));
    start({ idleTimeoutMs: 500 });
    await until(() => store.size === 1);
    expect(watchedFrom().slice(0, 2)).toEqual(['10', '50']);
    expect(faults[0]).toMatchObject({ code: 'KUBE_TIMEOUT' });
  });

  test('bookmarks alone keep a quiet connection', async () => {
    server.script(lists(10), async (_request, response) => {
      openWatch(response);
      for (let version = 11; version < 25; version++) {
        response.write(bookmark(version));
        await new Promise(resolve => setTimeout(resolve, 150));
      }
      response.write(eventLine('ADDED', widget('a', 99)));
    });
    start({ idleTimeoutMs: 1500 });
    await until(() => store.size === 1);
    expect(faults).toEqual([]);
    expect(watchedFrom()).toEqual(['10']);
  });

  test('429 with Retry-After waits that long', async () => {
    server.script(lists(10), refuses(429, 'TooManyRequests', { 'retry-after': '1' }), watches());
    start();
    await until(() => watchedFrom().length === 1);
    const refusedAt = performance.now();
    await until(() => watchedFrom().length === 2);
    expect(performance.now() - refusedAt).toBeGreaterThanOrEqual(900);
  });
});

describe('a watch that cannot go on lists again', () => {
  test.each<[string, Handler]>([
    ['410 as a status', refuses(410, 'Expired')],
    ['410 as an ERROR event', watches(expired)],
    ['a line that is not JSON', watches('{"type":"ADDED","obj\n')],
    ['a line that is no event', watches('{"hello":"world"}\n')],
    ['403 after rights were taken', refuses(403, 'Forbidden')],
  ])('%s', async (_name, fault) => {
    server.script(
      lists(10, widget('stays', 1), widget('goes', 2)),
      fault,
      lists(20, widget('stays', 1), widget('comes', 15)),
      watches(),
    );
    const changes: string[] = [];
    store.subscribe(({ type, key }) => changes.push(`${type} ${key}`));
    start();
    await until(() => watchedFrom().length === 2);
    expect(names()).toEqual(['comes', 'stays']);
    expect(changes).toEqual(['added ns/stays', 'added ns/goes', 'deleted ns/goes', 'added ns/comes']);
    expect(watchedFrom()).toEqual(['10', '20']);
    expect(faults).toHaveLength(1);
  });

  test('410 followed by a list that fails in every way: it goes on trying, and keeps what it has', async () => {
    const failures: Handler[] = [
      refuses(500, 'InternalError'),
      refuses(410, 'Expired'),
      refuses(410, 'Expired'),
      (_request, response) => void response.socket?.resetAndDestroy(),
      (_request, response) => answer(response, 200, '{"items":'),
      (_request, response) => answer(response, 200, '<html>maintenance</html>'),
      refuses(403, 'Forbidden'),
      refuses(401, 'Unauthorized'),
    ];
    server.script(
      lists(10, widget('a', 1)),
      watches(expired),
      ...failures,
      lists(20, widget('b', 11)),
      watches(),
    );
    let sizeBeforeList = -1;
    store.subscribe(() => {
      if (sizeBeforeList === -1 && listCount() > 5) sizeBeforeList = store.size;
    });
    start();
    await until(() => names().join() === 'b');
    expect(sizeBeforeList).toBe(0);
    expect(faults.length).toBeGreaterThanOrEqual(7);
  });

  test('a place that the API server does not know keeps being refused: an etcd that was restored', async () => {
    server.fallback((request, response) => {
      if (!request.isWatch)
        answer(response, 200, listOf(listCount() === 1 ? 1000 : 5, widget('a', listCount() === 1 ? 900 : 4)));
      else if (request.query.get('resourceVersion') === '1000')
        answer(response, 504, statusObject(504, 'Timeout'));
      else openWatch(response);
    });
    start();
    await until(() => watchedFrom().at(-1) === '5');
    expect(store.get('ns/a')?.metadata.resourceVersion).toBe('4');
  });

  test('a page token that ran out: the list is read in one piece', async () => {
    server.script(
      (_request, response) =>
        answer(response, 200, {
          metadata: { resourceVersion: '10', continue: 't' },
          items: [widget('a', 1)],
        }),
      refuses(410, 'Expired'),
      lists(12, widget('b', 11)),
      watches(),
    );
    start({ pageSize: 1 });
    await until(() => watchedFrom().length === 1);
    expect(names()).toEqual(['b']);
    expect(server.requests[2]?.query.get('limit')).toBe('0');
  });
});

describe('bugs of the program', () => {
  test('a subscriber that throws stops neither the watch nor other subscribers', async () => {
    const failures: unknown[] = [];
    store = createStore<Widget>({}, { onListenerError: error => failures.push(error) });
    store.subscribe(() => {
      throw new Error('bug');
    });
    server.script(lists(10, widget('a', 1)), watches(eventLine('ADDED', widget('b', 11))));
    start();
    await until(() => store.size === 2);
    expect(failures).toHaveLength(2);
    expect(faults).toEqual([]);
  });

  test('a transform that throws is reported, and the reflector lives on', async () => {
    let broken = true;
    server.script(
      lists(10),
      watches(eventLine('ADDED', widget('a', 11))),
      lists(12, widget('a', 11)),
      watches(),
    );
    start({
      transform: object => {
        if (broken) {
          broken = false;
          throw new Error('bug');
        }
        return object;
      },
    });
    await until(() => store.size === 1);
    expect(faults).toHaveLength(1);
  });
});

describe('pace', () => {
  test('watches that end at once are no busy loop', async () => {
    server.fallback((request, response) => {
      if (!request.isWatch) answer(response, 200, listOf(10));
      else openWatch(response, bookmark(11));
      if (request.isWatch) response.end();
    });
    start({ backoff: { baseMs: 50, maxMs: 400 }, random: () => 1 });
    const startedAt = performance.now();
    await until(() => performance.now() - startedAt > 1000);
    expect(watchedFrom().length).toBeLessThan(8);
    expect(watchedFrom().length).toBeGreaterThan(1);
  });

  test('410 again and again is no busy loop', async () => {
    server.fallback((request, response) => {
      if (request.isWatch) answer(response, 410, statusObject(410, 'Expired'));
      else answer(response, 200, listOf(10));
    });
    start({ backoff: { baseMs: 50, maxMs: 400 }, random: () => 1 });
    const startedAt = performance.now();
    await until(() => performance.now() - startedAt > 1000);
    expect(listCount()).toBeLessThan(8);
  });
});

describe('stopping', () => {
  const hangs: Handler = () => undefined;
  const hangsWithinList: Handler = (_request, response) => {
    response.writeHead(200);
    response.write('{"items":[');
  };
  test.each<[string, Handler[], number]>([
    ['while the list is connecting', [hangs], 1],
    ['within the list', [hangsWithinList], 1],
    ['while the watch is connecting', [lists(10), hangs], 2],
    ['within the watch', [lists(10), watches(bookmark(11))], 2],
  ])('%s ends promptly', async (_name, handlers, requests) => {
    server.script(...handlers);
    start();
    await until(() => server.requests.length === requests);
    const stoppedAt = performance.now();
    stop.abort();
    await running;
    expect(performance.now() - stoppedAt).toBeLessThan(3000);
    expect(faults).toEqual([]);
  });

  test('within the pause after a fault ends promptly', async () => {
    server.script(refuses(500, 'InternalError'));
    start({ backoff: { baseMs: 60_000, maxMs: 60_000 } });
    await until(() => faults.length === 1);
    const stoppedAt = performance.now();
    stop.abort();
    await running;
    expect(performance.now() - stoppedAt).toBeLessThan(3000);
  });

  test('before the first list is complete it never was in sync', async () => {
    server.fallback(refuses(403, 'Forbidden'));
    const reflector = start();
    await until(() => faults.length >= 3);
    stop.abort();
    await running;
    expect(reflector.hasSynced()).toBe(false);
  });
});

describe('catching up', () => {
  test('lists at once although the watch is silent, and finds what is gone, too', async () => {
    server.script(
      lists(10, widget('gone', 1), widget('changed', 2)),
      watches(),
      lists(20, widget('changed', 19, 7)),
      watches(eventLine('ADDED', widget('later', 21))),
    );
    const reflector = start();
    await until(() => watchedFrom().length === 1);
    await reflector.catchUp();
    expect(names()).toEqual(['changed']);
    expect(store.get('ns/changed')?.spec?.size).toBe(7);
    await until(() => store.get('ns/later') !== undefined);
    expect(watchedFrom()).toEqual(['10', '20']);
    expect(faults).toEqual([]);
  });

  test('a list that began before does not count', async () => {
    const begun = Promise.withResolvers<void>();
    server.script(() => begun.resolve(), lists(20, widget('new', 20)), watches());
    const reflector = start();
    await begun.promise;
    await reflector.catchUp();
    expect(names()).toEqual(['new']);
  });

  test('goes on through faults, without waiting for what the API server refuses', async () => {
    server.script(
      lists(10, widget('a', 1)),
      watches(),
      refuses(500, 'InternalError'),
      lists(20, widget('b', 20)),
    );
    server.fallback(refuses(403, 'Forbidden'));
    const reflector = start();
    await until(() => watchedFrom().length === 1);
    await reflector.catchUp();
    expect(names()).toEqual(['b']);
    expect(reflector.listFault()).toBeUndefined();
    await reflector.catchUp();
    expect(reflector.listFault()).toMatchObject({ status: 403 });
    // What was known stays known.
    expect(names()).toEqual(['b']);
  });

  test('a gateway that answers 403 in the place of the API server is waited for', async () => {
    server.script(
      lists(10),
      watches(),
      (_request, response) => answer(response, 403, '<html>'),
      lists(20, widget('b', 20)),
      watches(),
    );
    const reflector = start();
    await until(() => watchedFrom().length === 1);
    await reflector.catchUp();
    expect(names()).toEqual(['b']);
  });
});

test('each list is told with what it failed with', async () => {
  const told: (number | undefined)[] = [];
  server.script(refuses(403, 'Forbidden'), refuses(404, 'NotFound'), lists(10), watches());
  const reflector = start({ onList: (_reflector, fault) => told.push(fault?.status) });
  await reflector.synced;
  await until(() => told.length === 3);
  expect(told).toEqual([403, 404, undefined]);
});
