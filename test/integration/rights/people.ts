import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { randomUUID } from 'node:crypto';
import { expect } from '@jest/globals';
import type { ControlPlane } from '../../control-plane/control-plane.ts';
import { connect, type Api } from '../crd/api.ts';
import { operatorServiceAccount } from '../support/control-plane.ts';
import { eventually } from '../support/wait.ts';

/** The user name of the operator's service account. */
export function operatorUser(): string {
  const { namespace, name } = operatorServiceAccount();
  return `system:serviceaccount:${namespace}:${name}`;
}

/** Connects as a user of that name, with what RBAC and the admission policies make of it. */
export function connectAs(controlPlane: ControlPlane, name: string): Api {
  const path = join(controlPlane.dir, `${randomUUID()}.kubeconfig`);
  controlPlane.userKubeconfig({ name, path });
  const api = connect(path);
  rmSync(path);
  return api;
}

/** Gives a user a ClusterRole in one namespace. */
export async function bind(admin: Api, namespace: string, role: string, user: string): Promise<void> {
  const path = `/apis/rbac.authorization.k8s.io/v1/namespaces/${namespace}/rolebindings`;
  const { status } = await admin.request('POST', path, {
    body: {
      metadata: { generateName: 'test-' },
      roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'ClusterRole', name: role },
      subjects: [{ apiGroup: 'rbac.authorization.k8s.io', kind: 'User', name: user }],
    },
  });
  expect(status).toBe(201);
}

export interface Question {
  verb: string;
  /** `group/resource` or `group/resource/subresource`; the core group is empty. */
  resource: string;
  namespace: string;
  name?: string;
}

/** Asks the API server whether a user may do something. */
export async function may(
  admin: Api,
  user: string,
  { verb, resource, namespace, name = '' }: Question,
): Promise<boolean> {
  const [group, plural, subresource = ''] = resource.split('/');
  const { status, body } = await admin.request('POST', '/apis/authorization.k8s.io/v1/subjectaccessreviews', {
    body: {
      apiVersion: 'authorization.k8s.io/v1',
      kind: 'SubjectAccessReview',
      spec: { user, resourceAttributes: { namespace, verb, group, resource: plural, subresource, name } },
    },
  });
  expect(status).toBe(201);
  return body.status.allowed === true;
}

/** Waits for what the controller manager does: it gathers the rules of aggregated roles, and others see them later. */
export async function untilMay(admin: Api, user: string, question: Question): Promise<void> {
  await eventually(
    () => may(admin, user, question),
    allowed => allowed,
    `${user} may ${question.verb} ${question.resource}`,
    30_000,
  );
}

export const SECRETS = '/secrets';
export const ACCOUNTS = 'strackt.io/cloudaccounts';

/** Waits until the API server enforces the policies: it takes them up a moment after they were created. */
export async function untilGuarded(member: Api, namespace: string): Promise<void> {
  await eventually(
    () =>
      member.request('POST', `/api/v1/namespaces/${namespace}/secrets?dryRun=All`, {
        body: { metadata: { name: 'probe' }, type: 'strackt.io/verified-credential' },
      }),
    ({ status, body }) => status === 403 && (body.message ?? '').includes('ValidatingAdmissionPolicy'),
    'the admission policies at work',
    30_000,
  );
}
