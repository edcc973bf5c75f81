import { afterEach, beforeEach, describe, expect, jest, test } from '@jest/globals';
import { createKubeClient, type KubeClient } from './client.ts';
import {
  createEventRecorder,
  type EventNote,
  type EventRecorder,
  type EventRecorderOptions,
} from './events.ts';
import {
  answer,
  kubeConfigFor,
  startScriptedServer,
  statusObject,
  until,
  type ScriptedServer,
} from './testing/scripted-server.ts';

jest.setTimeout(30_000);

const REGARDING = { apiVersion: 'example.com/v1', kind: 'Widget', namespace: 'ns', name: 'w', uid: 'uid-w' };
const NOTE: EventNote = { type: 'Normal', reason: 'Verified', action: 'Verify', note: 'It works.' };

interface EventBody {
  metadata: { name: string; namespace: string };
  eventTime: string;
  note: string;
  series?: { count: number; lastObservedTime: string };
}

let server: ScriptedServer;
let client: KubeClient;
let recorder: EventRecorder;
let dropped: unknown[];
let time: number;

beforeEach(async () => {
  server = await startScriptedServer();
  server.fallback((request, response) => {
    const name = request.path.split('/').at(-1);
    const sent = JSON.parse(request.body) as { metadata?: object };
    answer(response, 201, { ...sent, metadata: { name, ...sent.metadata, resourceVersion: '1' } });
  });
  client = createKubeClient(kubeConfigFor(server.url));
  dropped = [];
  time = Date.parse('2026-01-01T00:00:00Z');
  useRecorder();
});

afterEach(async () => {
  recorder.stop();
  await client.close();
  await server.close();
});

function useRecorder(options: Partial<EventRecorderOptions> = {}): void {
  recorder = createEventRecorder({
    client,
    reportingController: 'example.com/tester',
    reportingInstance: 'pod-1',
    now: () => time,
    onDropped: why => dropped.push(why),
    ...options,
  });
}

function sent(method: string): EventBody[] {
  return server.requests
    .filter(request => request.method === method)
    .map(request => JSON.parse(request.body) as EventBody);
}

describe('createEventRecorder', () => {
  test('writes an event that the API server accepts', async () => {
    recorder.record(REGARDING, NOTE);
    await recorder.flush();
    expect(server.requests[0]?.path).toBe('/apis/events.k8s.io/v1/namespaces/ns/events');
    expect(sent('POST')[0]).toMatchObject({
      apiVersion: 'events.k8s.io/v1',
      kind: 'Event',
      metadata: { namespace: 'ns' },
      eventTime: '2026-01-01T00:00:00.000000Z',
      reportingController: 'example.com/tester',
      reportingInstance: 'pod-1',
      regarding: REGARDING,
      ...NOTE,
    });
  });

  test('events of cluster-scoped objects go to default', async () => {
    recorder.record({ ...REGARDING, namespace: undefined }, NOTE);
    await recorder.flush();
    expect(sent('POST')[0]?.metadata.namespace).toBe('default');
  });

  test('the same event again within the window is counted, not written anew', async () => {
    recorder.record(REGARDING, NOTE);
    await recorder.flush();
    for (let minute = 0; minute < 5; minute++) {
      time += 60_000;
      recorder.record(REGARDING, NOTE);
    }
    await recorder.flush();
    expect(sent('POST')).toHaveLength(1);
    expect(sent('PATCH').at(-1)?.series).toEqual({
      count: 6,
      lastObservedTime: '2026-01-01T00:05:00.000000Z',
    });
  });

  test('a storm becomes one object and one update', async () => {
    for (let index = 0; index < 10_000; index++) recorder.record(REGARDING, NOTE);
    await recorder.flush();
    expect(sent('POST')).toHaveLength(1);
    expect(sent('PATCH').map(body => body.series?.count)).toEqual([10_000]);
  });

  test('after the window it is an event of its own', async () => {
    recorder.record(REGARDING, NOTE);
    await recorder.flush();
    time += 361_000;
    recorder.record(REGARDING, NOTE);
    await recorder.flush();
    expect(sent('POST')).toHaveLength(2);
  });

  test('another note, reason or object is another event', async () => {
    recorder.record(REGARDING, NOTE);
    recorder.record(REGARDING, { ...NOTE, note: 'It works again.' });
    recorder.record(REGARDING, { ...NOTE, reason: 'Other' });
    recorder.record({ ...REGARDING, uid: 'uid-2' }, NOTE);
    await recorder.flush();
    expect(sent('POST')).toHaveLength(4);
  });

  test('a series whose event has expired begins anew', async () => {
    recorder.record(REGARDING, NOTE);
    await recorder.flush();
    server.script((_request, response) => answer(response, 404, statusObject(404, 'NotFound')));
    time += 60_000;
    recorder.record(REGARDING, NOTE);
    await recorder.flush();
    expect(server.requests.map(request => request.method)).toEqual(['POST', 'PATCH', 'POST']);
    expect(dropped).toEqual([]);
  });

  test.each([
    ['x'.repeat(3000), `${'x'.repeat(1021)}…`],
    ['é'.repeat(600), `${'é'.repeat(510)}…`],
  ])('a long note is cut to 1024 bytes between characters', async (note, expected) => {
    recorder.record(REGARDING, { ...NOTE, note });
    await recorder.flush();
    expect(sent('POST')[0]?.note).toBe(expected);
    expect(Buffer.byteLength(expected)).toBeLessThanOrEqual(1024);
  });

  test('an API server that is busy gets it later; one that refuses does not get it again', async () => {
    server.script((_request, response) => answer(response, 500, statusObject(500, 'InternalError')));
    recorder.record(REGARDING, NOTE);
    await recorder.flush();
    expect(server.requests).toHaveLength(2);
    server.script((_request, response) => answer(response, 403, statusObject(403, 'Forbidden')));
    recorder.record(REGARDING, { ...NOTE, reason: 'Other' });
    await recorder.flush();
    expect(server.requests).toHaveLength(3);
    expect(dropped).toHaveLength(1);
  });

  test('the queue is bounded: what is too much is dropped, and record never throws', async () => {
    server.fallback(() => undefined);
    useRecorder({ queueLimit: 10 });
    for (let index = 0; index < 100; index++) recorder.record(REGARDING, { ...NOTE, reason: `R${index}` });
    expect(dropped).toHaveLength(88);
    await until(() => server.requests.length === 2);
  });

  test('loses none of the events of a first sight of 5,000 objects, however slow the API server is', async () => {
    server.fallback(() => undefined);
    for (let index = 0; index < 5_000; index++) recorder.record({ ...REGARDING, uid: `uid-${index}` }, NOTE);
    expect(dropped).toEqual([]);
    await until(() => server.requests.length === 2);
  });

  test('stop gives up what is under way', async () => {
    server.fallback(() => undefined);
    recorder.record(REGARDING, NOTE);
    await until(() => server.requests.length === 1);
    const flushed = recorder.flush();
    recorder.stop();
    await flushed;
    recorder.record(REGARDING, { ...NOTE, reason: 'Other' });
    await recorder.flush();
    expect(server.requests).toHaveLength(1);
  });

  // Otherwise nothing else in this process gets a turn any more, the time limit of this test included.
  test('stop ends a flush, also of what was seen again and is not told yet', async () => {
    recorder.record(REGARDING, NOTE);
    await recorder.flush();
    server.fallback(() => undefined);
    recorder.record(REGARDING, NOTE);
    const flushed = recorder.flush();
    await until(() => sent('PATCH').length === 1);
    recorder.stop();
    await flushed;
    expect(sent('PATCH')).toHaveLength(1);
  });
});
