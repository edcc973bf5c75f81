/** The simulated clouds as a pod: each on loopback, as everywhere, and on a fixed port of the pod's address. */
import { connect, createServer } from 'node:net';
import { createClouds } from '../clouds/all.ts';
import { CLOUD_PORTS } from './cloud-ports.ts';

for (const cloud of createClouds({ seed: process.env['SEED'] ?? 'e2e' })) {
  const port = Number(new URL(await cloud.listen()).port);
  createServer(outer => {
    const inner = connect(port, '127.0.0.1');
    outer.pipe(inner).pipe(outer);
    // Either end breaks the other, so that resets and silence reach the operator as they are meant.
    outer.on('error', () => inner.destroy()).on('close', () => inner.destroy());
    inner.on('error', () => outer.resetAndDestroy()).on('close', () => outer.destroySoon());
  }).listen(CLOUD_PORTS.get(cloud.name), '0.0.0.0');
}
// Process 1 of the container has no handler for it unless it sets one.
process.once('SIGTERM', () => process.exit(0));
