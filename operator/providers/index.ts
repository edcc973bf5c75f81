import type { ProviderName } from '../api/names.ts';
import { digitalocean } from './digitalocean.ts';
import { hetzner } from './hetzner.ts';
import { hostinger } from './hostinger.ts';
import type { Provider } from './provider.ts';
import { vultr } from './vultr.ts';

/** The registry: one line a provider. */
export const PROVIDERS: Partial<Record<ProviderName, Provider>> = {
  Hetzner: hetzner,
  DigitalOcean: digitalocean,
  Vultr: vultr,
  Hostinger: hostinger,
};
