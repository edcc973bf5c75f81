import type { ProviderName } from '../../operator/api/names.ts';
import type { ClassificationRow } from '../../operator/providers/classification.ts';
import { DIGITALOCEAN_ANSWERS } from '../../operator/providers/digitalocean.ts';
import { HETZNER_ANSWERS } from '../../operator/providers/hetzner.ts';
import { HOSTINGER_ANSWERS } from '../../operator/providers/hostinger.ts';
import { LINODE_PROFILE_ANSWERS, LINODE_RIGHTS_ANSWERS } from '../../operator/providers/linode.ts';
import { TRANSIP_AUTH_ANSWERS, TRANSIP_TEST_ANSWERS } from '../../operator/providers/transip.ts';
import { UPCLOUD_ACCOUNT_ANSWERS, UPCLOUD_FURTHER_ANSWERS } from '../../operator/providers/upcloud.ts';
import { VULTR_ANSWERS } from '../../operator/providers/vultr.ts';

/** How each provider's answers are judged. */
export const TABLES: Record<ProviderName, readonly ClassificationRow[]> = {
  Hetzner: HETZNER_ANSWERS,
  DigitalOcean: DIGITALOCEAN_ANSWERS,
  Vultr: VULTR_ANSWERS,
  Linode: [...LINODE_PROFILE_ANSWERS, ...LINODE_RIGHTS_ANSWERS],
  TransIP: [...TRANSIP_AUTH_ANSWERS, ...TRANSIP_TEST_ANSWERS],
  Hostinger: HOSTINGER_ANSWERS,
  UpCloud: [...UPCLOUD_ACCOUNT_ANSWERS, ...UPCLOUD_FURTHER_ANSWERS],
};
