// What must be there before anything of the project runs. Like entry.mjs: plain JavaScript without dependencies.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';

/**
 * Whether node_modules differs from package-lock.json. npm keeps a copy of the lock that it installed from, written
 * last, so a folder that an interrupted installation left is stale as well. Packages for other platforms are not
 * installed; the lock marks them as optional.
 * @param root folder of the checkout
 */
export function isStale(root) {
  const wanted = packagesOf(join(root, 'package-lock.json'));
  const installed = packagesOf(join(root, 'node_modules', '.package-lock.json'));
  if (!wanted || !installed) return true;
  const paths = new Set([...Object.keys(wanted), ...Object.keys(installed)]);
  paths.delete('');
  for (const path of paths) {
    const [want, have] = [wanted[path], installed[path]];
    if (have ? !want || have.version !== want.version : !want.optional) return true;
  }
  return false;
}

function packagesOf(path) {
  try {
    return JSON.parse(readFileSync(path, 'utf8')).packages;
  } catch (error) {
    if (error.code === 'ENOENT') return undefined;
    throw error;
  }
}

/**
 * Why the installed Go cannot build the control plane, undefined if it can. Go 1.21 is the first that fetches the
 * toolchain which a module asks for (https://go.dev/doc/toolchain).
 * @param result of spawnSync('go', ['env', 'GOVERSION'])
 */
export function goProblem(result) {
  const need = 'Go 1.21 or newer is needed to build Kubernetes for this (https://go.dev/dl/)';
  const instead =
    'Or set KUBEBUILDER_ASSETS to a folder with etcd, kube-apiserver, kube-controller-manager and kubectl.';
  if (result.error && result.error.code === 'ENOENT') return `${need}; no go is in PATH. ${instead}`;
  const version = /^go1\.(\d+)/.exec((result.stdout || '').trim());
  if (version && Number(version[1]) >= 21) return undefined;
  // `go env GOVERSION` prints nothing before Go 1.15.
  return `${need}; the installed one is ${(result.stdout || '').trim() || 'older'}. ${instead}`;
}
