import { execFile } from 'node:child_process';
import { mkdir, readdir, rm, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { findBinaries } from '../../control-plane/binaries.ts';
import { buildCommand, go, kubernetesFlags, prepareModule } from '../../control-plane/build.ts';
import { binariesFolder, cacheRoot, isInstalled, RELEASES, withLock } from '../../control-plane/cache.mjs';
import { assertMayBuild } from '../../control-plane/prepared.ts';
import { runWithParent } from '../../control-plane/with-parent.ts';

/** The Kubernetes that the node runs. */
const [RELEASE] = RELEASES;

/** What makes a node of a control plane; built of the same module. */
const NODE_COMMANDS = ['kube-scheduler', 'kube-proxy', 'kubelet'];

const COREDNS = 'v1.15.0';
/** Those that up.sh's Corefile names. All fifty bring the clouds' SDKs with them. */
const COREDNS_PLUGINS = ['bind', 'cache', 'errors', 'kubernetes'];

/**
 * Programs of Debian that the node and the build of images need. They are unpacked, not installed: the machine stays
 * as it is, and the scripts lay them over /usr in mount namespaces of their own.
 */
const DEBIAN_PACKAGES = [
  ...['runc', 'containerd', 'containernetworking-plugins', 'nftables', 'iptables', 'conntrack', 'iproute2'],
  ...['socat', 'jq', 'openssl', 'util-linux', 'buildah', 'debootstrap', 'wget'],
];

/** What the scripts of this folder are given in their environment. */
export interface NodeTools {
  /** Folder of all binaries. */
  CAO_NODE_BIN: string;
  /** Root folder of the unpacked packages. */
  CAO_NODE_DEBIAN: string;
  /** Folder of images and of what is kept between builds of them. */
  CAO_NODE_IMAGES: string;
}

const run = promisify(execFile);

/** Finds, downloads or builds what a node needs, each once. Minutes the first time; then the network is not touched. */
export async function findNodeTools(say: (line: string) => void): Promise<NodeTools> {
  const controlPlane = await findBinaries(RELEASE, { say });
  const folder = join(cacheRoot(), `node-${RELEASE.kubernetes}-${process.platform}-${process.arch}`);
  const tools = {
    CAO_NODE_BIN: join(folder, 'bin'),
    CAO_NODE_DEBIAN: join(folder, 'debian'),
    CAO_NODE_IMAGES: join(folder, 'images'),
  };
  const waiting = () => say('waiting for another process that sets up a node');
  await withLock(
    join(folder, 'lock'),
    async () => {
      for (const path of [tools.CAO_NODE_BIN, tools.CAO_NODE_IMAGES]) await mkdir(path, { recursive: true });
      await removeLeftovers(folder, tools.CAO_NODE_BIN);
      await unpackPackages(tools.CAO_NODE_DEBIAN, say);
      await buildNode(tools.CAO_NODE_BIN, say);
      await buildCoreDns(folder, tools.CAO_NODE_BIN, say);
      for (const [name, path] of Object.entries(controlPlane)) {
        await rm(join(tools.CAO_NODE_BIN, name), { force: true });
        await symlink(path, join(tools.CAO_NODE_BIN, name));
      }
      await makeImages(tools, say);
    },
    waiting,
  );
  return tools;
}

/** The sandbox image, and what stands in for Node.js' official one in a Dockerfile's FROM. */
async function makeImages(tools: NodeTools, say: (line: string) => void): Promise<void> {
  const images = { pause: 'the sandbox image', slim: 'the image that the Dockerfile builds on (1-3 min)' };
  for (const [name, about] of Object.entries(images)) {
    if (isInstalled(join(tools.CAO_NODE_IMAGES, `${name}.tar`))) continue;
    assertMayBuild(about, tools.CAO_NODE_IMAGES);
    say(`making ${about}`);
    const env = { ...process.env, ...tools, NODE_VERSION: process.versions.node };
    await runWithParent(join(import.meta.dirname, 'image.sh'), [name], { env });
  }
}

/** Temporary folders of a build that was killed. */
async function removeLeftovers(...folders: string[]): Promise<void> {
  for (const folder of folders) {
    for (const name of await readdir(folder)) {
      if (name.startsWith('.build-')) await rm(join(folder, name), { recursive: true, force: true });
    }
  }
}

async function unpackPackages(target: string, say: (line: string) => void): Promise<void> {
  const done = join(target, '.unpacked');
  if (isInstalled(done)) return;
  assertMayBuild('what Debian packages hold', target);
  say(`downloading Debian packages: ${DEBIAN_PACKAGES.join(', ')}`);
  await rm(target, { recursive: true, force: true });
  const archives = join(target, 'archives');
  await mkdir(join(archives, 'partial'), { recursive: true });
  const apt = ['-qq', '-o', `Dir::Cache::archives=${archives}`, '-o', 'APT::Sandbox::User=root'];
  const download = () =>
    runWithParent(
      'apt-get',
      [...apt, 'install', '-y', '--download-only', '--no-install-recommends', '--no-upgrade'].concat(
        DEBIAN_PACKAGES,
      ),
    );
  // A new machine has no lists of packages, an old one outdated ones.
  await download().catch(async () => {
    await runWithParent('apt-get', ['-qq', 'update']);
    await download();
  });
  for (const name of await readdir(archives)) {
    if (name.endsWith('.deb')) await run('dpkg', ['-x', join(archives, name), target]);
  }
  // /bin, /sbin and /lib are links into /usr on a merged system, and only /usr is laid over.
  for (const name of ['bin', 'sbin', 'lib']) {
    const from = join(target, name);
    await run('sh', [
      '-c',
      '[ ! -d "$0" ] || { mkdir -p "$1" && cp -a "$0/." "$1/"; }',
      from,
      `${target}/usr/${name}`,
    ]);
  }
  await rm(archives, { recursive: true, force: true });
  await writeFile(done, DEBIAN_PACKAGES.join('\n'));
}

async function buildNode(bin: string, say: (line: string) => void): Promise<void> {
  const missing = NODE_COMMANDS.filter(name => !isInstalled(join(bin, name)));
  const release = binariesFolder(RELEASE.kubernetes);
  if (missing.length > 0) {
    // The module is shared with the control plane, and a build may add to its go.mod.
    await withLock(join(release, 'lock'), async () => {
      const module = await prepareModule(RELEASE, release, say);
      for (const name of missing) {
        await buildCommand(module, `k8s.io/kubernetes/cmd/${name}`, join(bin, name), {
          flags: kubernetesFlags(RELEASE),
          about: `${name} ${RELEASE.kubernetes} with Go (about a minute the first time)`,
          say,
        });
      }
    });
  }
  if (isInstalled(join(bin, 'pause'))) return;
  const pause = join(import.meta.dirname, 'pause.go');
  await buildCommand(import.meta.dirname, pause, join(bin, 'pause'), {
    flags: '-s -w',
    about: 'pause',
    say,
  });
}

async function buildCoreDns(folder: string, bin: string, say: (line: string) => void): Promise<void> {
  const target = join(bin, `coredns-${COREDNS}`);
  if (!isInstalled(target)) {
    const module = join(folder, 'coredns');
    await rm(module, { recursive: true, force: true });
    await mkdir(module);
    await writeFile(join(module, 'go.mod'), 'module coredns\n');
    await writeFile(join(module, 'main.go'), coreDnsMain());
    await go(module, ['get', `github.com/coredns/coredns@${COREDNS}`]);
    await buildCommand(module, '.', target, {
      flags: '-s -w',
      about: `CoreDNS ${COREDNS} with Go (2-3 min the first time)`,
      say,
    });
  }
  await rm(join(bin, 'coredns'), { force: true });
  await symlink(target, join(bin, 'coredns'));
}

function coreDnsMain(): string {
  const plugins = COREDNS_PLUGINS.map(name => `\t_ "github.com/coredns/coredns/plugin/${name}"`);
  return [
    'package main',
    '',
    'import (',
    ...plugins,
    '\t"github.com/coredns/coredns/coremain"',
    ')',
    '',
    'func main() { coremain.Run() }',
    '',
  ].join('\n');
}
