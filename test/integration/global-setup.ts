import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { applyManifests } from '../control-plane/manifests.ts';
import { attachControlPlane } from '../control-plane/control-plane.ts';
import { startControlPlane } from '../control-plane/start.ts';

/**
 * One control plane for the whole run, with the CRDs and the RBAC that we ship. Test files find it by
 * CAO_CONTROL_PLANE, its folder; whoever sets that before (the folder that `npm run control-plane` names) saves the start.
 * CAO_KUBERNETES chooses the version.
 */
export default async function globalSetup(): Promise<void> {
  const { CAO_CONTROL_PLANE: given, CAO_KUBERNETES: kubernetes } = process.env;
  const controlPlane = given
    ? attachControlPlane(given)
    : await startControlPlane(kubernetes ? { kubernetes } : {});
  process.env['CAO_CONTROL_PLANE'] = controlPlane.dir;
  process.env['CAO_CONTROL_PLANE_STARTED'] = given ? '' : 'yes';
  const paths = ['crds', 'deploy/install.yaml']
    .map(path => fileURLToPath(new URL(`../../${path}`, import.meta.url)))
    .filter(path => existsSync(path));
  await applyManifests(controlPlane, paths);
}
