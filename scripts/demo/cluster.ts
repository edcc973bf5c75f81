import { chmodSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { dump, loadAll } from 'js-yaml';
import type { ControlPlane, ServiceAccountName } from '../../test/control-plane/control-plane.ts';
import { applyManifests } from '../../test/control-plane/manifests.ts';

/** Namespace of the examples. */
export const NAMESPACE = 'demo';

/** A month: how long a demo can stay open before its operator must log in again. */
const TOKEN_SECONDS = 30 * 86_400;

interface Manifest {
  apiVersion: string;
  kind: string;
  metadata: ServiceAccountName;
}

/**
 * Installs what deploy/install.yaml has but for the Deployment: the demo runs the operator on this machine, and nothing
 * here would run its pod. Resolves with the path of the kubeconfig of the operator's service account.
 */
export async function install(controlPlane: ControlPlane, manifest: string, dir: string): Promise<string> {
  const objects = (loadAll(readFileSync(manifest, 'utf8')) as (Manifest | null)[]).filter(
    object => object !== null,
  );
  const path = join(dir, 'install.yaml');
  writeFileSync(
    path,
    objects
      .filter(({ kind }) => kind !== 'Deployment')
      .map(object => dump(object))
      .join('---\n'),
  );
  await applyManifests(controlPlane, [path]);
  const account = objects.find(({ kind }) => kind === 'ServiceAccount')?.metadata;
  if (account === undefined) throw new Error(`${manifest} holds no ServiceAccount`);
  return controlPlane.serviceAccountKubeconfig({
    namespace: account.namespace,
    name: account.name,
    path: join(dir, 'operator.kubeconfig'),
    expirationSeconds: TOKEN_SECONDS,
  });
}

/**
 * Writes `dir/kubeconfig` for the person at the terminal, an administrator, and `dir/kubectl`, which uses it: printed
 * commands stay short and work in any shell.
 */
export function writeAccess(controlPlane: ControlPlane, dir: string): void {
  const kubeconfig = controlPlane.userKubeconfig({
    name: 'demo',
    groups: ['system:masters'],
    path: join(dir, 'kubeconfig'),
    namespace: NAMESPACE,
  });
  const path = join(dir, 'kubectl');
  writeFileSync(
    path,
    `#!/bin/sh\nexec ${quote(controlPlane.kubectl)} --kubeconfig ${quote(kubeconfig)} "$@"\n`,
  );
  chmodSync(path, 0o755);
}

/** Server-side apply as kubectl does it, so that a later `kubectl apply --server-side` meets no other owner. */
export async function apply(controlPlane: ControlPlane, object: object): Promise<void> {
  const { apiVersion, kind, metadata } = object as Manifest;
  const prefix = apiVersion === 'v1' ? '/api/v1' : `/apis/${apiVersion}`;
  const collection = `${kind.toLowerCase()}s`;
  const scope = kind === 'Namespace' ? '' : `/namespaces/${NAMESPACE}`;
  const path = `${prefix}${scope}/${collection}/${metadata.name}?fieldManager=kubectl&force=true`;
  const { status, body } = await controlPlane.api('PATCH', path, object, 'application/apply-patch+yaml');
  if (status >= 300) throw new Error(`${kind} ${metadata.name} is refused: ${JSON.stringify(body)}`);
}

/** For a POSIX shell; left alone where nothing in it is special. */
export function quote(text: string): string {
  return /^[\w./-]+$/.test(text) ? text : `'${text.replaceAll("'", `'\\''`)}'`;
}
