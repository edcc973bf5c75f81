import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { readAuditLog, type RequestFilter } from './audit.ts';

let folder: string;
let log: string;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'audit-'));
  log = join(folder, 'audit.log');
});

afterEach(() => rmSync(folder, { recursive: true, force: true }));

function event(auditID: string, facts: Record<string, unknown> = {}): string {
  return JSON.stringify({
    auditID,
    stage: 'ResponseComplete',
    verb: 'get',
    user: { username: 'jane' },
    userAgent: 'kubectl/v1',
    objectRef: { resource: 'secrets', namespace: 'default', name: 'x' },
    requestReceivedTimestamp: '2030-01-01T00:00:00.500000Z',
    ...facts,
  });
}

async function ids(filter?: RequestFilter): Promise<string[]> {
  return (await readAuditLog(log, filter)).map(({ auditID }) => auditID);
}

test('a watch, which is logged when it starts and when it ends, is one request', async () => {
  const watch = { verb: 'watch', stage: 'ResponseStarted' };
  writeFileSync(
    log,
    `${event('1', watch)}\n${event('2')}\n${event('1', { ...watch, stage: 'ResponseComplete' })}\n`,
  );

  expect(await ids()).toEqual(['1', '2']);
});

test('a line that is being written is left out', async () => {
  const unfinished = event('2').slice(0, event('2').indexOf('}') + 1);
  writeFileSync(log, `${event('1')}\n${unfinished}`);

  expect(await ids()).toEqual(['1']);
});

test.each<[string, RequestFilter]>([
  ['user', { user: 'john' }],
  ['user agent', { userAgent: 'operator/' }],
  ['verb', { verbs: ['update', 'patch'] }],
  ['resource with subresource', { resources: ['cloudaccounts/status'] }],
  ['namespace', { namespace: 'elsewhere' }],
  ['time', { since: new Date('2030-01-01T00:00:01Z') }],
])('requests are chosen by %s', async (_what, filter) => {
  const other = event('other', {
    verb: 'patch',
    user: { username: 'john' },
    userAgent: 'operator/0.1.0',
    objectRef: { resource: 'cloudaccounts', subresource: 'status', namespace: 'elsewhere' },
    requestReceivedTimestamp: '2030-01-01T00:00:01.000000Z',
  });
  writeFileSync(log, `${event('1')}\n${other}\n`);

  expect(await ids(filter)).toEqual(['other']);
});
