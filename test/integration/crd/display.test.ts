import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { createNamespace, deleteNamespace, sharedControlPlane } from '../support/control-plane.ts';
import { account, accountsPath, APPLY, connect, type Api } from './api.ts';

const controlPlane = sharedControlPlane();
let api: Api;
let namespace: string;

beforeAll(async () => {
  api = connect(controlPlane.kubeconfig);
  namespace = await createNamespace(controlPlane, 'crd');
  await api.request('POST', accountsPath(namespace), { body: account('do-production') });
  await api.request('POST', accountsPath(namespace), { body: account('new') });
  const reason = { message: 'x', lastTransitionTime: '2026-11-03T12:00:00Z' };
  const { status } = await api.request(
    'PATCH',
    `${accountsPath(namespace, 'do-production', 'status')}?fieldManager=test`,
    {
      contentType: APPLY,
      body: {
        apiVersion: 'strackt.io/v1alpha1',
        kind: 'CloudAccount',
        metadata: { name: 'do-production' },
        status: {
          health: 'Connected',
          conditions: [
            { type: 'Connected', status: 'True', reason: 'Verified', ...reason },
            { type: 'Ready', status: 'False', reason: 'ReplacementRejected', ...reason },
          ],
          account: { id: 'team:5df3', ids: ['team:5df3'] },
          credential: {
            hint: 'dop_v1_••••1a2b',
            verifiedAt: '2026-11-03T12:00:00Z',
            access: 'ReadWrite',
            permissions: { state: 'Sufficient', missing: [] },
            source: { uid: 'u', resourceVersion: '1' },
          },
          lastCheckTime: new Date(Date.now() - 5 * 3_600_000 - 1_000).toISOString(),
          nextCheckTime: '2126-11-03T12:00:00Z',
          servers: { count: 2, names: ['web-1', 'web-2'] },
        },
      },
    },
  );
  expect(status).toBe(200);
});

afterAll(async () => {
  await deleteNamespace(controlPlane, namespace);
  await api.close();
});

async function kubectl(...args: string[]): Promise<string> {
  const { stdout } = await promisify(execFile)(controlPlane.kubectl, [
    '--kubeconfig',
    controlPlane.kubeconfig,
    ...args,
  ]);
  return stdout;
}

/** The cells of a printed table, by line. Columns are separated by at least two spaces. */
function cells(table: string): string[][] {
  return table
    .trimEnd()
    .split('\n')
    .map(line => line.trimEnd().split(/ {2,}/));
}

describe('kubectl get', () => {
  test.each(['cacct', 'cloudaccounts', 'cloudaccount', 'strackt'])(
    '%s shows health at a glance',
    async name => {
      const [header, production, fresh] = cells(await kubectl('get', name, '--namespace', namespace));
      expect(header).toEqual([
        'NAME',
        'PROVIDER',
        'HEALTH',
        'READY',
        'SERVERS',
        'LAST CHECKED',
        'CREDENTIAL',
        'AGE',
      ]);
      expect(production).toEqual([
        expect.stringMatching(/do-production$/),
        'DigitalOcean',
        'Connected',
        'False',
        '2',
        '5h',
        'dop_v1_••••1a2b',
        expect.any(String),
      ]);
      expect(fresh?.slice(1, 2)).toEqual(['DigitalOcean']);
    },
  );

  test('-o wide adds the reason, the next check (a time in the future) and the account', async () => {
    const [header, production] = cells(await kubectl('get', 'cacct', '--namespace', namespace, '-o', 'wide'));
    expect(header?.slice(-3)).toEqual(['REASON', 'NEXT CHECK', 'ACCOUNT']);
    expect(production?.slice(-3)).toEqual(['ReplacementRejected', '2126-11-03T12:00:00Z', 'team:5df3']);
  });

  test('a new account shows nothing that is not known yet', async () => {
    const { body } = await api.request('GET', accountsPath(namespace, 'new'), {
      accept: 'application/json;as=Table;v=v1;g=meta.k8s.io',
    });
    const cells = body.rows[0]?.cells;
    const row = Object.fromEntries(body.columnDefinitions.map(({ name }, index) => [name, cells?.[index]]));
    expect(row).toMatchObject({
      Provider: 'DigitalOcean',
      Health: null,
      Servers: null,
      Credential: null,
      'Last Checked': null,
    });
  });
});

describe('kubectl explain', () => {
  test('cloudaccount.spec reads like documentation', async () => {
    const text = await kubectl('explain', 'cloudaccount.spec');
    expect(text).toContain('What is wanted. Written by people and tools, never by the operator.');
    for (const line of [
      /provider\t<string> -required-/,
      /credentialsSecretRef\t<Object> -required-/,
      /enum: Hetzner, DigitalOcean, Vultr, Linode, \.\.\.\./,
      /The cloud provider\. Cannot be changed; make a new CloudAccount for another/,
      /such as 24h \(default\) or 1h30m, from 1h to 168h/,
      /Kinds: DigitalOcean team, account; Vultr email-sha256/,
    ])
      expect(text).toMatch(line);
    expect(text).not.toContain('<no description>');
  });

  test.each([
    'spec.credentialsSecretRef',
    'spec.verifiedSecret',
    'status',
    'status.conditions',
    'status.credential',
    'status.candidate',
  ])('cloudaccount.%s describes every field', async path => {
    const text = await kubectl('explain', `cloudaccount.${path}`);
    expect(text).toContain('DESCRIPTION:');
    expect(text).not.toContain('<no description>');
  });
});
