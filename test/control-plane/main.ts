import { mkdirSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { RELEASES } from './cache.mjs';
import { startControlPlane } from './start.ts';
import { DEFAULT_VERSION } from './versions.ts';

/** `npm run control-plane`: one control plane until SIGTERM, SIGINT or SIGHUP. */

const USAGE = `usage: npm run control-plane -- --dir DIR [--kubernetes ${RELEASES.map(r => r.name).join('|')}]

Starts etcd, kube-apiserver and kube-controller-manager on loopback, writes DIR/kubeconfig (cluster
administrator), prints its path when all is ready and stays until SIGTERM or Ctrl-C. Default: ${DEFAULT_VERSION}.`;

function readOptions(): { dir: string; kubernetes: string } | undefined {
  try {
    const { values } = parseArgs({
      options: {
        dir: { type: 'string' },
        kubernetes: { type: 'string', default: DEFAULT_VERSION },
        help: { type: 'boolean', default: false },
      },
    });
    if (values.dir && !values.help) return { dir: values.dir, kubernetes: values.kubernetes };
  } catch (error) {
    console.error((error as Error).message);
  }
  return undefined;
}

const options = readOptions();
if (!options) {
  console.error(USAGE);
  process.exit(2);
}

mkdirSync(options.dir, { recursive: true });
const kubeconfig = resolve(join(options.dir, 'kubeconfig'));
const controlPlane = await startControlPlane({
  kubernetes: options.kubernetes,
  kubeconfig,
  onLost: () => {
    console.error('The supervisor of the control plane was killed: everything is stopped.');
    process.exit(1);
  },
});
// Nothing else keeps the process alive.
const alive = setInterval(() => {}, 60_000);
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
  process.once(signal, () => {
    clearInterval(alive);
    void controlPlane.stop();
  });
}
console.log(`Kubernetes ${controlPlane.version} at ${controlPlane.server}`);
console.log(`kubectl: ${controlPlane.kubectl}`);
console.log(`state: ${controlPlane.dir}`);
console.log(kubeconfig);
