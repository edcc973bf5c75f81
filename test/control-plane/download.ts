import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { createWriteStream } from 'node:fs';
import { chmod, mkdtemp, rename, rm } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { Readable } from 'node:stream';
import { promisify } from 'node:util';
import { load } from 'js-yaml';
import { EnvHttpProxyAgent, fetch, type Response } from 'undici';
import type { Binary, Release } from './cache.mjs';

/**
 * Installs binaries from the envtest archives that controller-tools releases for controller-runtime's tests. They hold
 * etcd, kube-apiserver and kubectl, for some patch versions of Kubernetes.
 */

/** Format: https://github.com/kubernetes-sigs/controller-tools/blob/main/envtest-releases.yaml */
const INDEX_URL =
  'https://raw.githubusercontent.com/kubernetes-sigs/controller-tools/HEAD/envtest-releases.yaml';

const IN_ARCHIVES: readonly Binary[] = ['etcd', 'kube-apiserver', 'kubectl'];

/** Without internet a person should not wait long for what can be built as well. */
const CONNECT_TIMEOUT_MS = 5_000;
/** A download that stands still for so long has failed. */
const STALL_TIMEOUT_MS = 30_000;

interface Archive {
  /** SHA-512, hexadecimal. */
  hash: string;
  selfLink: string;
}

interface Index {
  releases: Record<string, Record<string, Archive | undefined> | undefined>;
}

/**
 * Downloads what is wanted and published, into `folder`. Resolves with the binaries that are installed now: none when
 * the index cannot be reached or does not list this version for this platform. Throws when an archive is not what the
 * index says, by checksum or by being cut off: building over that in silence would hide a broken mirror or an attack.
 * Either way nothing half-installed is left behind. CONTROL_PLANE_INDEX replaces the index's address.
 */
export async function downloadBinaries(
  release: Release,
  wanted: readonly Binary[],
  folder: string,
  env: NodeJS.ProcessEnv,
  say: (line: string) => void,
): Promise<Binary[]> {
  const binaries = wanted.filter(binary => IN_ARCHIVES.includes(binary));
  if (binaries.length === 0) return [];
  const url = env['CONTROL_PLANE_INDEX'] || INDEX_URL;
  const dispatcher = new EnvHttpProxyAgent({
    connect: { timeout: CONNECT_TIMEOUT_MS },
    bodyTimeout: STALL_TIMEOUT_MS,
  });
  try {
    const archive = await findArchive(release, url, dispatcher, say);
    if (!archive) return [];
    say(`downloading ${archive.selfLink}`);
    const response = await open(archive.selfLink, dispatcher).catch((error: unknown) => {
      say(`the archive cannot be reached (${reason(error)})`);
    });
    if (!response) return [];
    return await install(archive, response, binaries, folder);
  } finally {
    await dispatcher.destroy();
  }
}

async function findArchive(
  release: Release,
  url: string,
  dispatcher: EnvHttpProxyAgent,
  say: (line: string) => void,
): Promise<Archive | undefined> {
  let index: Index;
  try {
    const response = await open(url, dispatcher);
    index = load(await response.text()) as Index;
  } catch (error) {
    say(`no index of ready-made binaries (${reason(error)})`);
    return undefined;
  }
  const archive = index?.releases?.[release.kubernetes]?.[archiveName(release)];
  if (!archive) say(`Kubernetes ${release.kubernetes} is not published ready-made for this platform`);
  return archive;
}

/** Name of the archive in the index, with Go's names of platforms. */
export function archiveName(release: Release): string {
  const arch = process.arch === 'x64' ? 'amd64' : process.arch;
  return `envtest-${release.kubernetes}-${process.platform}-${arch}.tar.gz`;
}

/** A successful response to a GET whose headers came within 5 s; else throws. */
async function open(url: string, dispatcher: EnvHttpProxyAgent): Promise<Response> {
  const abort = new AbortController();
  const timer = setTimeout(() => abort.abort(new Error('no answer within 5 s')), CONNECT_TIMEOUT_MS);
  try {
    const response = await fetch(url, { dispatcher, signal: abort.signal });
    if (!response.ok) throw new Error(`status ${response.status}`);
    return response;
  } finally {
    clearTimeout(timer);
  }
}

async function install(
  archive: Archive,
  response: Response,
  binaries: readonly Binary[],
  folder: string,
): Promise<Binary[]> {
  const temporary = await mkdtemp(join(folder, '.download-'));
  try {
    const file = join(temporary, 'archive.tar.gz');
    const hash = await save(archive.selfLink, response, file);
    if (hash !== archive.hash) {
      throw new Error(
        `${archive.selfLink} is not what the index says: SHA-512 is ${hash}, expected ${archive.hash}. ` +
          'Nothing was installed. Set KUBEBUILDER_ASSETS to use binaries of your own.',
      );
    }
    const run = promisify(execFile);
    const { stdout } = await run('tar', ['-tzf', file]);
    const entries = stdout.split('\n').filter(entry => binaries.some(binary => binary === basename(entry)));
    await run('tar', ['-xzf', file, '-C', temporary, ...entries]);
    const installed: Binary[] = [];
    for (const entry of entries) {
      const binary = basename(entry) as Binary;
      await chmod(join(temporary, entry), 0o755);
      await rename(join(temporary, entry), join(folder, binary));
      installed.push(binary);
    }
    return installed;
  } finally {
    await rm(temporary, { recursive: true, force: true });
  }
}

/** Writes a body to a file; resolves with its SHA-512. Throws when the connection ends before the body does. */
async function save(url: string, response: Response, file: string): Promise<string> {
  const hash = createHash('sha512');
  try {
    const body = Readable.from(response.body ?? []);
    body.on('data', (chunk: Uint8Array) => hash.update(chunk));
    await pipeline(body, createWriteStream(file));
  } catch (error) {
    throw new Error(`${url} was cut off: ${reason(error)}. Nothing was installed; try again.`, {
      cause: error,
    });
  }
  return hash.digest('hex');
}

/** fetch() says just "fetch failed" and keeps what happened in the cause. */
function reason(error: unknown): string {
  const { message, cause } = error as { message?: string; cause?: { code?: string; message?: string } };
  return cause?.code ?? cause?.message ?? message ?? String(error);
}
