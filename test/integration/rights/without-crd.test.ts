import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import type { ControlPlane } from '../../control-plane/control-plane.ts';
import { applyManifests } from '../../control-plane/manifests.ts';
import { startControlPlane } from '../../control-plane/start.ts';
import { eventually } from '../support/wait.ts';

const ROOT = join(import.meta.dirname, '../../..');
const SECRETS = '/api/v1/namespaces/default/secrets';
const CRD = '/apis/apiextensions.k8s.io/v1/customresourcedefinitions/cloudaccounts.strackt.io';

let controlPlane: ControlPlane;

beforeAll(async () => {
  const kubernetes = process.env['CAO_KUBERNETES'];
  controlPlane = await startControlPlane({ ...(kubernetes && { kubernetes }), audit: false });
  await applyManifests(controlPlane, [join(ROOT, 'deploy/install.yaml')]);
}, 300_000);
afterAll(() => controlPlane.stop());

// With failurePolicy Fail every Secret of the cluster was refused: the parameters of a policy had no kind any more.
test('without the CRD, and after the API server began anew, Secrets are made as ever', async () => {
  const make = (name: string) => controlPlane.api('POST', SECRETS, { metadata: { name } });
  const account = {
    apiVersion: 'strackt.io/v1alpha1',
    kind: 'CloudAccount',
    metadata: { name: 'do' },
    spec: { provider: 'DigitalOcean', credentialsSecretRef: { name: 'do-token' } },
  };
  await controlPlane.api('POST', '/apis/strackt.io/v1alpha1/namespaces/default/cloudaccounts', account);
  await eventually(
    () => controlPlane.api('POST', `${SECRETS}?dryRun=All`, { metadata: { name: 'do-verified' } }),
    ({ status }) => status === 403,
    'the policies at work',
    30_000,
  );

  await controlPlane.api('DELETE', CRD);
  await eventually(
    () => controlPlane.api('GET', CRD),
    ({ status }) => status === 404,
    'no CRD',
    30_000,
  );
  expect((await make('at-once')).status).toBe(201);
  await controlPlane.apiServer.restart();

  for (let i = 0; i < 20; i++) {
    const { status, body } = await make(`later-${i}`);
    expect([status, (body as { message?: string }).message]).toEqual([201, undefined]);
    await new Promise(resolve => setTimeout(resolve, 250));
  }
}, 180_000);
