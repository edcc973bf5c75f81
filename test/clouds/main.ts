/**
 * Runs all simulated clouds in one process: `node test/clouds/main.ts --port-file FILE [--latency MS] [--seed TEXT]`.
 * The file, written when all of them listen, is JSON: name of the provider to origin.
 */
import { renameSync, writeFileSync } from 'node:fs';
import { parseArgs } from 'node:util';

import { createClouds } from './all.ts';

const { values } = parseArgs({
  options: { 'port-file': { type: 'string' }, latency: { type: 'string' }, seed: { type: 'string' } },
});
const clouds = createClouds(values.seed === undefined ? {} : { seed: values.seed });
const origins: Record<string, string> = {};
for (const cloud of clouds) {
  if (values.latency !== undefined) cloud.inject({ kind: 'latency', ms: Number(values.latency) });
  origins[cloud.name] = await cloud.listen();
}
const file = values['port-file'];
if (file === undefined) {
  console.log(JSON.stringify(origins));
} else {
  // Renamed into place: whoever waits for the file never reads half of it.
  writeFileSync(`${file}.tmp`, JSON.stringify(origins));
  renameSync(`${file}.tmp`, file);
}

async function stop(): Promise<void> {
  await Promise.all(clouds.map(cloud => cloud.close()));
  process.exit(0);
}
process.once('SIGTERM', () => void stop());
process.once('SIGINT', () => void stop());
