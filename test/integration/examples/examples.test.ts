import { globSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { loadAll } from 'js-yaml';
import type { ControlPlane } from '../../control-plane/control-plane.ts';
import { applyManifests, kubectl } from '../../control-plane/manifests.ts';
import { startControlPlane } from '../../control-plane/start.ts';

const ROOT = join(import.meta.dirname, '../../..');
const EXAMPLES = globSync('examples/**/*.yaml', { cwd: ROOT }).sort();
const CONSUMERS = EXAMPLES.filter(path => path.startsWith('examples/consumers/'));

interface PodSpec {
  containers: {
    env?: { name: string; valueFrom?: { secretKeyRef?: { name: string; key: string } } }[];
    envFrom?: { secretRef?: { name: string } }[];
  }[];
}

interface Manifest {
  kind: string;
  metadata: { name: string; namespace?: string };
  spec?: {
    template?: { spec: PodSpec };
    jobTemplate?: { spec: { template: { spec: PodSpec } } };
    credentialsSecretRef?: { name: string; keys?: Record<string, string> };
    verifiedSecret?: { name?: string; keys?: Record<string, string> };
  };
  stringData?: Record<string, string>;
}

const read = (path: string) => loadAll(readFileSync(join(ROOT, path), 'utf8')) as Manifest[];
const podsOf = (manifests: Manifest[]) =>
  manifests.flatMap(({ metadata: { namespace }, spec }) => {
    const pod = spec?.template?.spec ?? spec?.jobTemplate?.spec.template.spec;
    return pod === undefined ? [] : [{ namespace, pod }];
  });

let controlPlane: ControlPlane;

beforeAll(async () => {
  const kubernetes = process.env['CAO_KUBERNETES'];
  controlPlane = await startControlPlane(kubernetes ? { kubernetes } : {});
  await applyManifests(controlPlane, [join(ROOT, 'deploy/install.yaml')]);
}, 300_000);

afterAll(() => controlPlane.stop());

describe.each(EXAMPLES)('%s', path => {
  test('is accepted by the API server under strict validation, as often as it is applied', async () => {
    const apply = () =>
      kubectl(controlPlane, [
        'apply',
        '--server-side',
        '--validate=strict',
        `--filename=${join(ROOT, path)}`,
      ]);
    const first = await apply();
    expect(first.trim().split('\n')).toHaveLength(read(path).length);
    expect(await apply()).toBe(first);
  });

  test('holds no value that could be a credential', () => {
    for (const { stringData = {} } of read(path))
      for (const value of Object.values(stringData)) expect(value.trim()).toMatch(/^<.*>$|^$/);
  });
});

describe.each(CONSUMERS)('%s', path => {
  const manifests = read(path);

  test('gives the account the Secret that the file holds', () => {
    const secrets = manifests.filter(({ kind }) => kind === 'Secret').map(({ metadata }) => metadata.name);
    const accounts = manifests.filter(({ kind }) => kind === 'CloudAccount');
    expect(accounts.map(({ spec }) => spec?.credentialsSecretRef?.name)).toEqual(secrets);
  });

  test('lets its pods read the verified copy, by the keys that it has', () => {
    const copies = new Map(
      manifests
        .filter(({ kind }) => kind === 'CloudAccount')
        .map(({ metadata, spec }) => {
          const keys = Object.values({ token: 'token', ...spec?.verifiedSecret?.keys });
          return [spec?.verifiedSecret?.name ?? `${metadata.name}-verified`, keys];
        }),
    );
    for (const { pod } of podsOf(manifests)) {
      const { env = [], envFrom = [] } = pod.containers[0] ?? {};
      const one = env.flatMap(({ valueFrom }) => valueFrom?.secretKeyRef ?? []);
      const all = envFrom.flatMap(({ secretRef }) => secretRef ?? []);
      expect(one.length + all.length).toBe(1);
      for (const { name, key } of one) expect(copies.get(name)).toContain(key);
      // A key that becomes a variable as it is.
      for (const { name } of all) expect(copies.get(name)).toEqual([expect.stringMatching(/^[A-Z_]+$/)]);
    }
  });

  test('has pods that are admitted where the strictest pod security is enforced', async () => {
    for (const { namespace, pod } of podsOf(manifests)) {
      const spec = { restartPolicy: 'Never', ...pod, serviceAccountName: undefined };
      const { body } = await controlPlane.api<{ kind: string; message?: string }>(
        'POST',
        `/api/v1/namespaces/${namespace}/pods?dryRun=All`,
        { metadata: { generateName: 'test-' }, spec },
      );
      expect(body.message).toBeUndefined();
      expect(body.kind).toBe('Pod');
    }
  });
});
