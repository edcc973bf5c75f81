import type { CloudAccount } from '../../operator/api/cloudaccount.generated.ts';
import { PROVIDER_NAMES } from '../../operator/api/names.ts';
import { createToken } from '../../scripts/demo/clouds.ts';
import { filledSecret } from '../../scripts/demo/examples.ts';
import { eventually } from '../integration/support/wait.ts';
import { MANY } from './manifests.ts';
import type { World } from './world.ts';

/** Creates that many good accounts, of each provider in turn, and waits until all are Connected. */
export async function connectMany(world: World, count: number): Promise<void> {
  const items: object[] = [];
  for (let index = 0; index < count; index++) {
    const name = `many-${index}`;
    const provider = PROVIDER_NAMES[index % PROVIDER_NAMES.length] ?? 'Hetzner';
    const { credential } = await createToken(world.cloud(provider), name);
    items.push(filledSecret(`${name}-token`, credential), {
      apiVersion: 'strackt.io/v1alpha1',
      kind: 'CloudAccount',
      metadata: { name },
      spec: { provider, credentialsSecretRef: { name: `${name}-token` } },
    });
  }
  await world.kubectl(['apply', '--server-side', '--filename=-', `--namespace=${MANY}`], {
    apiVersion: 'v1',
    kind: 'List',
    items,
  });
  const path = `/apis/strackt.io/v1alpha1/namespaces/${MANY}/cloudaccounts`;
  await eventually(
    async () => (await world.get<{ items: CloudAccount[] }>(path))?.items ?? [],
    accounts => accounts.length === count && accounts.every(({ status }) => status?.health === 'Connected'),
    `${count} Connected accounts`,
    120_000,
  );
}
