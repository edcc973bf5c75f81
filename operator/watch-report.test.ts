import { beforeEach, describe, expect, test } from '@jest/globals';
import { CLOUD_ACCOUNTS, SECRETS } from './accounts/resources.ts';
import { errorOfStatus, KubeError } from './kube/errors.ts';
import type { Reflector } from './kube/reflector.ts';
import type { Resource } from './kube/resource.ts';
import { createWatchReport, type Unavailable, type WatchReport } from './watch-report.ts';

let lines: { level: string; facts: Record<string, unknown>; message: string }[];
let announced: Unavailable[];
let report: WatchReport;

beforeEach(() => {
  lines = [];
  announced = [];
  const at = (level: string) => (facts: object, message: string) =>
    void lines.push({ level, facts: { ...facts }, message });
  const log = { debug: at('debug'), info: at('info'), warn: at('warn'), error: at('error') };
  report = createWatchReport(log, what => announced.push(what));
});

function reflector(resource: Resource, namespace?: string): Reflector {
  return { resource, namespace } as Reflector;
}

function status(code: number, reason: string, message: string): KubeError {
  return errorOfStatus('GET /x', code, { kind: 'Status', code, reason, message });
}

const FORBIDDEN = status(
  403,
  'Forbidden',
  'secrets is forbidden: User "system:serviceaccount:ops:cao" cannot list resource "secrets" in API group "" in the namespace "b"',
);
const UNSERVED = errorOfStatus('GET /apis/strackt.io', 404, undefined);
const CUT = new KubeError('KUBE_CONNECTION', 'GET /x: ECONNREFUSED');

describe('what cannot be listed', () => {
  test('a missing right is told at once, with the command that asks for it', () => {
    report.onList(reflector(SECRETS, 'b'), FORBIDDEN);
    expect(lines).toHaveLength(1);
    expect(lines[0]).toMatchObject({
      level: 'warn',
      facts: {
        resource: 'secrets',
        namespace: 'b',
        command: 'kubectl auth can-i list secrets --namespace=b --as=system:serviceaccount:ops:cao',
        error: { message: expect.stringContaining('cannot list resource') },
      },
    });
    expect(announced).toHaveLength(1);
  });

  test('a missing CRD is told at once, with the command that mends it', () => {
    report.onList(reflector(CLOUD_ACCOUNTS), UNSERVED);
    expect(lines[0]?.facts).toMatchObject({
      resource: 'cloudaccounts.strackt.io',
      namespace: 'all',
      missing: expect.stringContaining('CustomResourceDefinition'),
      command: 'kubectl apply --server-side -f crds/',
    });
  });

  test('credentials that are refused are told at once', () => {
    report.onList(reflector(CLOUD_ACCOUNTS), status(401, 'Unauthorized', 'Unauthorized'));
    expect(lines[0]?.facts['missing']).toBe('credentials that the API server accepts');
  });

  test('once, whatever number of watches and tries; and again each minute', () => {
    const [sources, copies] = [reflector(SECRETS, 'b'), reflector(SECRETS, 'b')];
    for (let round = 0; round < 5; round++)
      for (const one of [sources, copies]) report.onList(one, FORBIDDEN);
    expect(lines).toHaveLength(1);
    report.remind();
    report.remind();
    expect(lines).toHaveLength(3);
    expect(report.unavailable()).toHaveLength(1);
  });

  test('a fault that passes by itself is told after a minute only', () => {
    const one = reflector(CLOUD_ACCOUNTS);
    report.onList(one, CUT);
    expect(lines).toEqual([]);
    report.remind();
    expect(lines[0]).toMatchObject({ level: 'warn', facts: { error: { code: 'KUBE_CONNECTION' } } });
    expect(announced).toEqual([]);
  });

  test('a fault that becomes a refusal is told at once', () => {
    const one = reflector(CLOUD_ACCOUNTS, 'b');
    report.onList(one, CUT);
    report.onList(one, FORBIDDEN);
    expect(lines).toHaveLength(1);
  });

  test('that it is over is told where it was told', () => {
    const one = reflector(CLOUD_ACCOUNTS, 'b');
    report.onList(one, CUT);
    report.onList(one, undefined);
    expect(lines).toEqual([]);
    report.onList(one, FORBIDDEN);
    report.onList(one, undefined);
    report.remind();
    expect(lines.map(({ level }) => level)).toEqual(['warn', 'info']);
    expect(report.unavailable()).toEqual([]);
  });
});
