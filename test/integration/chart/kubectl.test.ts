import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import type { ControlPlane } from '../../control-plane/control-plane.ts';
import { applyManifests, kubectl } from '../../control-plane/manifests.ts';
import { startControlPlane } from '../../control-plane/start.ts';

const INSTALL = join(import.meta.dirname, '../../../deploy/install.yaml');
const SYSTEM = 'cloud-account-operator-system';

let controlPlane: ControlPlane;

beforeAll(async () => {
  const kubernetes = process.env['CAO_KUBERNETES'];
  controlPlane = await startControlPlane(kubernetes ? { kubernetes } : {});
}, 300_000);

afterAll(() => controlPlane.stop());

/** All objects of the cluster that carry the release's label, of the kinds that the manifests hold. */
function installed(): Promise<string> {
  const kinds =
    'customresourcedefinitions,clusterroles,clusterrolebindings,validatingadmissionpolicies,validatingadmissionpolicybindings';
  const selector = '--selector=app.kubernetes.io/instance=cloud-account-operator';
  return kubectl(controlPlane, ['get', kinds, selector, '--output=name']);
}

test('the manifests pass strict validation, and change nothing when applied again', async () => {
  const apply = (validate: string) =>
    kubectl(controlPlane, ['apply', '--server-side', `--validate=${validate}`, `--filename=${INSTALL}`]);
  await apply('strict');
  await applyManifests(controlPlane, [INSTALL]);
  const version = () =>
    kubectl(controlPlane, [
      'get',
      'deployments',
      `--namespace=${SYSTEM}`,
      '--output=jsonpath={.items[*].metadata.generation}',
    ]);
  const before = await version();
  await apply('strict');
  expect(await version()).toBe(before);
});

test('the operator is removed as the documentation says, and CRDs and accounts stay', async () => {
  await controlPlane.api('POST', '/apis/strackt.io/v1alpha1/namespaces/default/cloudaccounts', {
    apiVersion: 'strackt.io/v1alpha1',
    kind: 'CloudAccount',
    metadata: { name: 'kept' },
    spec: { provider: 'Hetzner', credentialsSecretRef: { name: 'token' } },
  });

  await kubectl(controlPlane, ['delete', 'namespace', SYSTEM]);
  await kubectl(controlPlane, [
    'delete',
    'clusterroles,clusterrolebindings,validatingadmissionpolicies,validatingadmissionpolicybindings',
    '--selector=app.kubernetes.io/instance=cloud-account-operator',
  ]);

  expect(await installed()).toBe('customresourcedefinition.apiextensions.k8s.io/cloudaccounts.strackt.io\n');
  expect(await kubectl(controlPlane, ['get', 'cloudaccounts', '--output=name'])).toBe(
    'cloudaccount.strackt.io/kept\n',
  );
});

test('with the file as a whole, accounts go too', async () => {
  await kubectl(controlPlane, ['apply', '--server-side', `--filename=${INSTALL}`]);
  await kubectl(controlPlane, ['delete', `--filename=${INSTALL}`]);
  expect(await installed()).toBe('');
});
