import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { CloudAccount } from '../../operator/api/cloudaccount.generated.ts';
import type { ProviderName } from '../../operator/api/names.ts';
import { bundle } from '../../scripts/build.ts';
import { createClouds } from '../clouds/all.ts';
import type { Cloud } from '../clouds/kit.ts';
import type { ControlPlane } from '../control-plane/control-plane.ts';
import { applyManifests } from '../control-plane/manifests.ts';
import { startControlPlane } from '../control-plane/start.ts';
import { operatorKubeconfig, operatorServiceAccount } from '../integration/support/control-plane.ts';
import type { Disturbance, Violation } from './history.ts';
import { createOperators, type Operators } from './operators.ts';
import { type Recorder, startRecorder } from './recorder.ts';
import { startWay, type Way } from './way.ts';
import { startWebhook, type Webhook } from './webhook.ts';

/** The accounts of the second one lose their namespace now and then. */
export const NAMESPACES = ['chaos', 'chaos-passing'] as const;
export type Namespace = (typeof NAMESPACES)[number];

/** Told of violations as they are found, and (`isTrace`) of each deed and interruption. */
export type Say = (line: string, isTrace: boolean) => void;

/** A control plane of its own, clouds in this process, operators in others, and a watch of all that becomes of it. */
export interface World {
  controlPlane: ControlPlane;
  cloud(provider: ProviderName): Cloud;
  clouds: readonly Cloud[];
  operators: Operators;
  /** Each operator's way to the API server. */
  ways: readonly Way[];
  webhook: Webhook;
  recorder: Recorder;
  /** When the watches were interrupted. */
  gaps: number[];
  disturbances: Disturbance[];
  /** Notes that something keeps operators from their work, until the function that it returns is called. */
  disturb(about?: Pick<Disturbance, 'provider' | 'accounts'>, afterMs?: number): () => void;
  /** What was found out while it happened. */
  found: Violation[];
  /**
   * A request as administrator. Resolves with undefined where the object is not there, or there already: the operator
   * and the garbage collector work at the same time.
   */
  call: <T>(method: string, path: string, body?: unknown, contentType?: string) => Promise<T | undefined>;
  close(): Promise<void>;
}

/** Short, so that minutes show what takes a day: refusals are confirmed and asked again within two seconds. */
const TIMES = ['--confirm-after=1s,2s', '--retry-refused-after=1s,2s'];
/** Short too, and long enough that a busy machine does not cost a healthy leader its lease. */
const ELECTION = [
  '--leader-elect',
  '--leader-election-lease-duration=6s',
  '--leader-election-renew-deadline=4s',
  '--leader-election-retry-period=1s',
];

export async function createWorld(seed: number, count: number, say: Say): Promise<World> {
  const dir = mkdtempSync(join(tmpdir(), 'chaos-'));
  const program = join(dir, 'operator.mjs');
  const root = (path: string): string => fileURLToPath(new URL(`../../${path}`, import.meta.url));
  const [controlPlane] = await Promise.all([
    startControlPlane(),
    bundle({ entry: 'operator/main.ts', outfile: program }),
  ]);
  await applyManifests(controlPlane, [root('crds'), root('deploy/install.yaml')]);
  const clouds = createClouds({ seed: `chaos ${seed}` });
  for (const cloud of clouds) await cloud.listen();

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
  for (const name of NAMESPACES) await call('POST', '/api/v1/namespaces', { metadata: { name } });

  const gaps: number[] = [];
  const found: Violation[] = [];
  const disturbances: Disturbance[] = [];
  const recorder = await startRecorder(controlPlane, NAMESPACES, fault => {
    gaps.push(Date.now());
    say(`watch interrupted: ${String(fault)}`, true);
  });
  const webhook = await startWebhook(controlPlane, NAMESPACES);
  const onDelete = (copy: { name: string; uid: string }): Promise<void> => judgeDeletion(copy);
  const ways = await Promise.all(Array.from({ length: count }, () => startWay(controlPlane, onDelete)));
  const kubeconfigs = await Promise.all(ways.map(({ url }) => operatorKubeconfig(controlPlane, url)));
  const operators = createOperators({
    count,
    program,
    dir,
    clouds,
    argsOf: operator => [
      `--kubeconfig=${kubeconfigs[operator]}`,
      `--watch-namespaces=${NAMESPACES.join()}`,
      '--log-level=trace',
      `--leader-election-namespace=${operatorServiceAccount().namespace}`,
      ...(count > 1 ? ELECTION : []),
      ...TIMES,
    ],
  });
  for (const operator of operators.all) await operator.start();

  /** What status speaks of is the connection; an operator that takes it away has lost it. */
  async function judgeDeletion({ name, uid }: { name: string; uid: string }): Promise<void> {
    for (const namespace of NAMESPACES) {
      const list = await call<{ items: CloudAccount[] }>(
        'GET',
        `/apis/strackt.io/v1alpha1/namespaces/${namespace}/cloudaccounts`,
      ).catch(() => undefined);
      for (const { metadata, status } of list?.items ?? []) {
        if (status?.verifiedSecretRef?.uid !== uid || metadata.deletionTimestamp !== undefined) continue;
        const what = `${name} was to be deleted while status speaks of it`;
        found.push({ rule: 'the copy in force stays', account: metadata.name, at: Date.now(), what });
      }
    }
  }

  return {
    controlPlane,
    clouds,
    cloud(provider) {
      const cloud = clouds.find(({ name }) => name === provider);
      if (cloud === undefined) throw new Error(`no cloud ${provider}`);
      return cloud;
    },
    operators,
    ways,
    webhook,
    recorder,
    gaps,
    disturbances,
    disturb(about = {}, afterMs = 0) {
      const disturbance: Disturbance = { ...about, from: Date.now(), to: Infinity };
      disturbances.push(disturbance);
      return () => {
        if (disturbance.to === Infinity) disturbance.to = Date.now() + afterMs;
      };
    },
    found,
    call,
    async close() {
      await operators.close();
      await recorder.close();
      await Promise.all(ways.map(way => way.close()));
      await webhook.close();
      await Promise.all(clouds.map(cloud => cloud.close()));
      await controlPlane.stop();
      rmSync(dir, { recursive: true, force: true });
    },
  };
}
