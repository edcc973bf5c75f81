import { attachControlPlane } from '../control-plane/control-plane.ts';

/** Stops the control plane, unless it was there before the run. */
export default async function globalTeardown(): Promise<void> {
  const { CAO_CONTROL_PLANE: dir, CAO_CONTROL_PLANE_STARTED: started } = process.env;
  if (dir && started) await attachControlPlane(dir).stop();
}
