import { randomUUID } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { loadAll } from 'js-yaml';
import {
  attachControlPlane,
  type ControlPlane,
  type ServiceAccountName,
} from '../../control-plane/control-plane.ts';

/** The control plane of this run, which global-setup.ts started. */
export function sharedControlPlane(): ControlPlane {
  const dir = process.env['CAO_CONTROL_PLANE'];
  if (!dir) throw new Error('CAO_CONTROL_PLANE is not set: run through the integration project of jest');
  return attachControlPlane(dir);
}

/** Creates a namespace with a name that no other test has; resolves with the name. */
export async function createNamespace(controlPlane: ControlPlane, prefix = 'test'): Promise<string> {
  const name = `${prefix}-${randomUUID().slice(0, 8)}`;
  const answer = await controlPlane.api('POST', '/api/v1/namespaces', { metadata: { name } });
  if (answer.status !== 201) throw new Error(`Namespace ${name}: ${JSON.stringify(answer.body)}`);
  return name;
}

/** Asks for the deletion of a namespace; kube-controller-manager empties it afterwards. */
export async function deleteNamespace(controlPlane: ControlPlane, name: string): Promise<void> {
  const answer = await controlPlane.api('DELETE', `/api/v1/namespaces/${name}`);
  if (answer.status >= 300 && answer.status !== 404) {
    throw new Error(`Namespace ${name}: ${JSON.stringify(answer.body)}`);
  }
}

/** The ServiceAccount of deploy/install.yaml: the operator runs as this one, with exactly the rights that we ship. */
export function operatorServiceAccount(): ServiceAccountName {
  const file = new URL('../../../deploy/install.yaml', import.meta.url);
  for (const document of loadAll(readFileSync(file, 'utf8'))) {
    const object = document as { kind?: string; metadata: ServiceAccountName } | null;
    if (object?.kind === 'ServiceAccount') return object.metadata;
  }
  throw new Error('deploy/install.yaml holds no ServiceAccount');
}

/**
 * Writes a kubeconfig of the operator's service account and resolves with its path.
 * @param server another address of the API server, for instance a fault proxy's
 */
export async function operatorKubeconfig(controlPlane: ControlPlane, server?: string): Promise<string> {
  return controlPlane.serviceAccountKubeconfig({
    ...operatorServiceAccount(),
    path: join(controlPlane.dir, `operator-${randomUUID()}.kubeconfig`),
    ...(server && { server }),
  });
}
