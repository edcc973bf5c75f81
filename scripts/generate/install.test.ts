import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from '@jest/globals';
import { load, loadAll } from 'js-yaml';
import { ROOT } from './output.ts';

interface Manifest {
  kind: string;
  metadata: { name: string; namespace?: string; labels?: Record<string, string> };
  spec?: unknown;
  rules?: { apiGroups: string[]; resources: string[]; resourceNames?: string[]; verbs: string[] }[];
}

const read = (path: string) => readFileSync(join(ROOT, path), 'utf8');
const manifests = loadAll(read('deploy/install.yaml')) as Manifest[];
const find = (kind: string, name: string) =>
  manifests.find(manifest => manifest.kind === kind && manifest.metadata.name === name);

describe('deploy/install.yaml', () => {
  test('installs the version of the package', () => {
    const { version } = JSON.parse(read('package.json')) as { version: string };
    expect(load(read('charts/cloud-account-operator/Chart.yaml'))).toMatchObject({ appVersion: version });
  });

  test('holds each guard with its binding', () => {
    const names = (kind: string) =>
      manifests
        .filter(manifest => manifest.kind === kind)
        .map(({ metadata }) => metadata.name)
        .sort();
    expect(names('ValidatingAdmissionPolicy')).toEqual(
      ['deletion', 'namespace', 'own-secrets', 'status', 'verified-copies'].map(
        name => `cloud-account-operator-${name}`,
      ),
    );
    expect(names('ValidatingAdmissionPolicyBinding')).toEqual(names('ValidatingAdmissionPolicy'));
  });

  test('creates the namespace first, under the strictest pod security', () => {
    expect(manifests[0]).toMatchObject({
      kind: 'Namespace',
      metadata: {
        name: 'cloud-account-operator-system',
        labels: { 'pod-security.kubernetes.io/enforce': 'restricted' },
      },
    });
  });

  test('holds the CRD unchanged', () => {
    const source = load(read('crds/strackt.io_cloudaccounts.yaml')) as Manifest;
    expect(find('CustomResourceDefinition', 'cloudaccounts.strackt.io')?.spec).toEqual(source.spec);
  });

  test('puts all that has a namespace into its own', () => {
    const namespaces = new Set(
      manifests.map(({ metadata }) => metadata.namespace).filter(name => name !== undefined),
    );
    expect([...namespaces]).toEqual(['cloud-account-operator-system']);
  });

  test('says nothing of Helm', () => {
    expect(read('deploy/install.yaml')).not.toMatch(/helm\.sh|: Helm/);
  });

  // A right that is added here must be added to the test on purpose.
  test('gives the operator these rights and no other', () => {
    expect(find('ClusterRole', 'cloud-account-operator')?.rules).toEqual([
      { apiGroups: ['strackt.io'], resources: ['cloudaccounts'], verbs: ['get', 'list', 'watch'] },
      { apiGroups: ['strackt.io'], resources: ['cloudaccounts/status'], verbs: ['get', 'update', 'patch'] },
      { apiGroups: ['strackt.io'], resources: ['cloudaccounts'], verbs: ['publish'] },
      {
        apiGroups: [''],
        resources: ['secrets'],
        verbs: ['get', 'list', 'watch', 'create', 'update', 'delete'],
      },
      { apiGroups: ['events.k8s.io'], resources: ['events'], verbs: ['create', 'patch'] },
    ]);
    expect(find('Role', 'cloud-account-operator-leader-election')?.rules).toEqual([
      { apiGroups: ['coordination.k8s.io'], resources: ['leases'], verbs: ['create'] },
      {
        apiGroups: ['coordination.k8s.io'],
        resources: ['leases'],
        resourceNames: ['cloud-account-operator'],
        verbs: ['get', 'list', 'watch', 'update'],
      },
      { apiGroups: ['events.k8s.io'], resources: ['events'], verbs: ['create', 'patch'] },
    ]);
    expect(manifests.filter(({ kind }) => /RoleBinding$/.test(kind)).map(({ kind }) => kind)).toEqual([
      'ClusterRoleBinding',
      'RoleBinding',
    ]);
  });
});
