import type { CloudAccount } from '../api/cloudaccount.generated.ts';
import { GROUP, VERSION } from '../api/names.ts';
import type { KubeObject, ObjectMeta, Resource } from '../kube/resource.ts';

export const CLOUD_ACCOUNTS: Resource = {
  group: GROUP,
  version: VERSION,
  plural: 'cloudaccounts',
  kind: 'CloudAccount',
  namespaced: true,
};

export const SECRETS: Resource = {
  group: '',
  version: 'v1',
  plural: 'secrets',
  kind: 'Secret',
  namespaced: true,
};

/** A Secret as it is read by name. `data` is base64. */
export interface Secret extends KubeObject {
  type?: string;
  data?: Record<string, string>;
  immutable?: boolean;
}

/** kubectl's copy of what was applied: whole objects, Secrets with their data included. */
export const LAST_APPLIED_ANNOTATION = 'kubectl.kubernetes.io/last-applied-configuration';

/** What is kept of an account: managed fields and the last applied text are never read and would fill memory. */
export function slimAccount(account: CloudAccount): CloudAccount {
  const metadata: CloudAccount['metadata'] & { managedFields?: unknown } = { ...account.metadata };
  delete metadata.managedFields;
  if (metadata.annotations !== undefined) {
    metadata.annotations = { ...metadata.annotations };
    delete metadata.annotations[LAST_APPLIED_ANNOTATION];
  }
  return { ...account, metadata };
}

/**
 * What is kept of a Secret. Annotations are dropped whole: `last-applied-configuration` carries the Secret's data
 * even in a metadata-only watch.
 */
export function slimSecret({ metadata }: KubeObject): KubeObject {
  const { name, namespace, uid, resourceVersion, ownerReferences, deletionTimestamp } = metadata;
  const slim: ObjectMeta = {
    name,
    uid,
    resourceVersion,
    ...(namespace !== undefined && { namespace }),
    ...(ownerReferences !== undefined && { ownerReferences }),
    ...(deletionTimestamp !== undefined && { deletionTimestamp }),
  };
  return { metadata: slim };
}
