import { createClouds } from '../clouds/all.ts';

const FIRST_PORT = 9001;

/** Name of each simulated cloud → its port in the pod and in its Service. */
export const CLOUD_PORTS: ReadonlyMap<string, number> = new Map(
  createClouds().map(({ name }, index) => [name, FIRST_PORT + index]),
);
