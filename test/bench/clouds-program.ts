/**
 * The simulated clouds as providers are: over TLS. `node clouds-program.ts DIR`, with `cloud.crt` and `cloud.key` there;
 * `ports.json`, written when all of them listen, has two origins of each: `https` for the operator, `http` to control it.
 */
import { readFileSync, renameSync, writeFileSync } from 'node:fs';
import { type AddressInfo, connect } from 'node:net';
import { join } from 'node:path';
import { createServer } from 'node:tls';
import { createClouds } from '../clouds/all.ts';
import { LATENCY_MS, type Origins } from './clouds.ts';

const [, , dir = '.'] = process.argv;
const pair = {
  cert: readFileSync(join(dir, 'cloud.crt')),
  key: readFileSync(join(dir, 'cloud.key')),
};
const origins: Record<string, Origins> = {};
for (const cloud of createClouds()) {
  cloud.inject({ kind: 'latency', ms: LATENCY_MS });
  const http = await cloud.listen();
  origins[cloud.name] = { http, https: await serveTls(Number(new URL(http).port)) };
}
// Renamed into place: whoever waits for the file never reads half of it.
writeFileSync(join(dir, 'ports.json.new'), JSON.stringify(origins));
renameSync(join(dir, 'ports.json.new'), join(dir, 'ports.json'));
process.once('SIGTERM', () => process.exit(0));

/** Takes TLS off and hands on to a port of this process. */
async function serveTls(port: number): Promise<string> {
  const server = createServer(pair, outer => {
    const inner = connect(port, '127.0.0.1');
    inner.setNoDelay(true);
    outer.setNoDelay(true);
    outer.pipe(inner).pipe(outer);
    // Either end breaks the other, so that resets and silence reach the operator as they are meant.
    outer.on('error', () => inner.destroy()).on('close', () => inner.destroy());
    inner.on('error', () => outer.destroy()).on('close', () => outer.destroySoon());
  });
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve));
  return `https://127.0.0.1:${(server.address() as AddressInfo).port}`;
}
