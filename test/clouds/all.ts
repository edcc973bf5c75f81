import type { Cloud, CloudOptions } from './kit.ts';
import { createDigitalOceanCloud } from './digitalocean.ts';
import { createHetznerCloud } from './hetzner.ts';
import { createHostingerCloud } from './hostinger.ts';
import { createLinodeCloud } from './linode.ts';
import { createTransipCloud } from './transip.ts';
import { createUpCloudCloud } from './upcloud.ts';
import { createVultrCloud } from './vultr.ts';

/** One line a cloud. */
const CREATORS: ((options: CloudOptions) => Cloud)[] = [
  createDigitalOceanCloud,
  createHetznerCloud,
  createHostingerCloud,
  createLinodeCloud,
  createTransipCloud,
  createUpCloudCloud,
  createVultrCloud,
];

/** All simulated clouds. With a seed each derives its own from it, so that no two share a credential. */
export function createClouds(options: CloudOptions = {}): Cloud[] {
  return CREATORS.map((create, index) =>
    create(options.seed === undefined ? options : { ...options, seed: `${options.seed}/${index}` }),
  );
}
