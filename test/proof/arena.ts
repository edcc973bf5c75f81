import { createDigitalOceanCloud } from '../clouds/digitalocean.ts';
import type { ControlPlane } from '../control-plane/control-plane.ts';
import { operatorServiceAccount } from '../integration/support/control-plane.ts';
import { startWitness, type Witness } from './witness.ts';

export type ProofCloud = ReturnType<typeof createDigitalOceanCloud>;

/** What all runs share: a control plane, a cloud, and a witness. Each run has a namespace and credentials of its own. */
export interface Arena {
  controlPlane: ControlPlane;
  cloud: ProofCloud;
  witness: Witness;
  /** Of the operator's service account. */
  token: string;
  /** What proxies show their clients. */
  certificate: { cert: string; key: string };
  /** A number that no other run has. */
  next(): number;
  close(): Promise<void>;
}

/** @param now the cloud's clock; default: the system's */
export async function openArena(controlPlane: ControlPlane, now?: () => number): Promise<Arena> {
  const cloud = createDigitalOceanCloud({ seed: controlPlane.dir, ...(now && { now }) });
  const [witness, token] = await Promise.all([
    startWitness(controlPlane),
    controlPlane.serviceAccountToken(operatorServiceAccount(), { expirationSeconds: 24 * 3_600 }),
    cloud.listen(),
  ]);
  let count = 0;
  return {
    controlPlane,
    cloud,
    witness,
    token,
    certificate: controlPlane.issueCertificate('proof-proxy', { hosts: ['127.0.0.1'] }),
    next: () => count++,
    async close() {
      await witness.close();
      await cloud.close();
    },
  };
}
