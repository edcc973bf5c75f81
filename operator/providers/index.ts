import type { ProviderName } from '../api/names.ts';
import { digitalocean } from './digitalocean.ts';
import { hetzner } from './hetzner.ts';
import { hostinger } from './hostinger.ts';
import { linode } from './linode.ts';
import type { Provider } from './provider.ts';
import { transip } from './transip.ts';
import { upcloud } from './upcloud.ts';
import { vultr } from './vultr.ts';

/** The registry: one line a provider. */
export const PROVIDERS: Readonly<Record<ProviderName, Provider>> = {
  Hetzner: hetzner,
  DigitalOcean: digitalocean,
  Vultr: vultr,
  Linode: linode,
  TransIP: transip,
  Hostinger: hostinger,
  UpCloud: upcloud,
};
