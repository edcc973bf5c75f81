import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { ProviderName } from '../../operator/api/names.ts';
import { bundle } from '../../scripts/build.ts';
import { createClouds } from '../clouds/all.ts';
import type { Cloud } from '../clouds/kit.ts';
import type { ControlPlane } from '../control-plane/control-plane.ts';
import { applyManifests } from '../control-plane/manifests.ts';
import { startControlPlane } from '../control-plane/start.ts';
import { operatorKubeconfig } from '../integration/support/control-plane.ts';
import { type Operator, startOperator } from './operator.ts';
import { type Recorder, startRecorder } from './recorder.ts';

export const NAMESPACE = 'chaos';

/** Told of violations as they are found, and (`isTrace`) of each deed and interruption. */
export type Say = (line: string, isTrace: boolean) => void;

/** A control plane of its own, clouds in this process, an operator in another, and a watch of all that becomes of it. */
export interface World {
  controlPlane: ControlPlane;
  cloud(provider: ProviderName): Cloud;
  clouds: readonly Cloud[];
  operator: Operator;
  recorder: Recorder;
  /** When the watches were interrupted. */
  gaps: number[];
  /**
   * A request as administrator. Resolves with undefined where the object is not there, or there already: the operator
   * and the garbage collector work at the same time.
   */
  call: <T>(method: string, path: string, body?: unknown, contentType?: string) => Promise<T | undefined>;
  close(): Promise<void>;
}

/** Short, so that minutes show what takes a day: refusals are confirmed and asked again within two seconds. */
const TIMES = ['--confirm-after=1s,2s', '--retry-refused-after=1s,2s'];

export async function createWorld(seed: number, say: Say): Promise<World> {
  const dir = mkdtempSync(join(tmpdir(), 'chaos-'));
  const program = join(dir, 'operator.mjs');
  const root = (path: string): string => fileURLToPath(new URL(`../../${path}`, import.meta.url));
  const [controlPlane] = await Promise.all([
    startControlPlane(),
    bundle({ entry: 'operator/main.ts', outfile: program }),
  ]);
  await applyManifests(controlPlane, [root('crds'), root('deploy/install.yaml')]);
  const clouds = createClouds({ seed: `chaos ${seed}` });
  const endpoints: string[] = [];
  for (const cloud of clouds) endpoints.push(`--provider-endpoint=${cloud.name}=${await cloud.listen()}`);

  async function call<T>(
    method: string,
    path: string,
    body?: unknown,
    contentType?: string,
  ): Promise<T | undefined> {
    for (let tries = 1; ; tries++) {
      try {
        const answer = await controlPlane.api<T>(method, path, body, contentType);
        if (answer.status < 300) return answer.body;
        if (answer.status === 404 || answer.status === 409) return undefined;
        throw new Error(`${method} ${path}: ${answer.status} ${JSON.stringify(answer.body)}`);
      } catch (error) {
        // A connection of before a restart of the API server.
        if (tries === 3 || (error as { code?: string }).code === undefined) throw error;
      }
    }
  }
  await call('POST', '/api/v1/namespaces', { metadata: { name: NAMESPACE } });

  const gaps: number[] = [];
  const recorder = await startRecorder(controlPlane, NAMESPACE, fault => {
    gaps.push(Date.now());
    say(`watch interrupted: ${String(fault)}`, true);
  });
  const operator = startOperator(program, dir, [
    `--kubeconfig=${await operatorKubeconfig(controlPlane)}`,
    `--watch-namespaces=${NAMESPACE}`,
    '--log-level=trace',
    ...TIMES,
    ...endpoints,
  ]);
  return {
    controlPlane,
    clouds,
    cloud(provider) {
      const cloud = clouds.find(({ name }) => name === provider);
      if (cloud === undefined) throw new Error(`no cloud ${provider}`);
      return cloud;
    },
    operator,
    recorder,
    gaps,
    call,
    async close() {
      await operator.kill();
      await recorder.close();
      await Promise.all(clouds.map(cloud => cloud.close()));
      await controlPlane.stop();
      rmSync(dir, { recursive: true, force: true });
    },
  };
}
