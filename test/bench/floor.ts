import { readFileSync } from 'node:fs';
import { Pool } from 'undici';
import { load } from 'js-yaml';
import type { CloudAccount } from '../../operator/api/cloudaccount.generated.ts';
import { PROVIDER_NAMES, VERIFIED_SECRET_TYPE } from '../../operator/api/names.ts';
import type { Copy, FirstSight, Recorded } from './first-sight.ts';
import { inParallel } from './parallel.ts';
import { accountPath, populate, type World } from './world.ts';

/** Connections that the operator's client has for calls. */
const CONNECTIONS = 32;
const CONCURRENCY_LEVELS = [8, 16, 32] as const;
/** Events that the operator writes at the same time, and calls of one provider. */
const EVENT_LANES = 2;
const PROVIDER_LANES = 16;

const APPLY = 'application/apply-patch+yaml';
const METADATA_LIST = 'application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1';
const METADATA = 'application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1';

export interface Floor {
  seconds: number;
  /** Requests at the same time that were fastest. */
  concurrency: number;
  /** What the provider calls alone take, all providers side by side. */
  providerSeconds: number;
}

/** A request whose bytes are ready before the clock starts. */
interface Prepared {
  method: 'GET' | 'POST' | 'PATCH';
  path: string;
  body?: string;
  contentType?: string;
}

/**
 * What the API server and the providers take for the requests of the first sight, when whoever sends them does nothing
 * else: bodies are made before, answers are not parsed. Lists, watches, and for each account: source, name of the copy
 * (404), copy, status; events beside them, in lanes of their own as the operator's.
 */
export async function measureFloor(world: World, { recorded, calls }: FirstSight): Promise<Floor> {
  const providerSeconds = await providerFloor(world, calls);
  const runs: { concurrency: number; seconds: number }[] = [];
  for (const concurrency of CONCURRENCY_LEVELS) {
    const namespace = `floor-${concurrency}`;
    await world.call('POST', '/api/v1/namespaces', { metadata: { name: namespace } });
    const plan = await prepare(world, recorded, namespace);
    runs.push({ concurrency, seconds: await replay(world, plan, namespace, concurrency) });
  }
  const best = runs.reduce((a, b) => (b.seconds < a.seconds ? b : a));
  return { ...best, seconds: Math.max(best.seconds, providerSeconds), providerSeconds };
}

interface Plan {
  /** In order, for each account. */
  accounts: Prepared[][];
  events: Prepared[];
}

async function prepare(
  world: World,
  { accounts, copies, event }: Recorded,
  namespace: string,
): Promise<Plan> {
  const subjects = accounts.map(({ metadata, spec }) => ({
    name: metadata.name,
    provider: spec.provider,
  }));
  const bytes = new Map(copies.map(({ metadata, data }) => [metadata.name, decoded(data)]));
  const created = await populate(
    world,
    subjects,
    async ({ name }) => bytes.get(`${name}-verified`) ?? {},
    namespace,
  );
  const copyOf = new Map(copies.map(copy => [copy.metadata.ownerReferences[0]?.name, copy]));
  const secrets = `/api/v1/namespaces/${namespace}/secrets`;
  return {
    accounts: created.map((account, i) => {
      const { name } = account.metadata;
      const copy = copyOf.get(name);
      if (copy === undefined) throw new Error(`${name} has no copy`);
      return [
        { method: 'GET', path: `${secrets}/${name}-token` },
        { method: 'GET', path: `${secrets}/${copy.metadata.name}` },
        {
          method: 'POST',
          path: `${secrets}?fieldManager=bench`,
          body: JSON.stringify(copied(copy, account, namespace)),
        },
        {
          method: 'PATCH',
          path: `${accountPath(namespace, name)}/status?fieldManager=bench&force=true`,
          body: JSON.stringify(statusOf(account, accounts[i]?.status, namespace)),
          contentType: APPLY,
        },
      ];
    }),
    events: created.map(({ metadata }) => ({
      method: 'POST',
      path: `/apis/events.k8s.io/v1/namespaces/${namespace}/events`,
      body: JSON.stringify({
        ...event,
        metadata: { name: `${metadata.name}.bench`, namespace },
        regarding: { ...(event as { regarding?: object }).regarding, namespace, ...pick(metadata) },
      }),
    })),
  };
}

function decoded(data: Record<string, string>): Record<string, string> {
  return Object.fromEntries(
    Object.entries(data).map(([key, value]) => [key, Buffer.from(value, 'base64').toString()]),
  );
}

function pick({ name, uid }: CloudAccount['metadata']): { name: string; uid: string } {
  return { name, uid };
}

function copied({ metadata, data }: Copy, account: CloudAccount, namespace: string): object {
  const { name, labels, annotations } = metadata;
  const ownerReferences = metadata.ownerReferences.map(owner => ({ ...owner, ...pick(account.metadata) }));
  return {
    apiVersion: 'v1',
    kind: 'Secret',
    type: VERIFIED_SECRET_TYPE,
    metadata: { name, namespace, labels, annotations, ownerReferences },
    data,
  };
}

function statusOf({ metadata }: CloudAccount, status: CloudAccount['status'], namespace: string): object {
  return {
    apiVersion: 'strackt.io/v1alpha1',
    kind: 'CloudAccount',
    metadata: { name: metadata.name, namespace, resourceVersion: metadata.resourceVersion },
    status,
  };
}

/** Sends everything; resolves with the seconds until the last status is written. */
async function replay(world: World, plan: Plan, namespace: string, concurrency: number): Promise<number> {
  const { server, ca } = world.controlPlane;
  const authorization = `Bearer ${tokenOf(world.kubeconfig)}`;
  const calls = new Pool(server, { connections: CONNECTIONS, connect: { ca } });
  const watches = new Pool(server, { connect: { ca }, bodyTimeout: 0 });
  const stop = new AbortController();

  async function send({ method, path, body, contentType }: Prepared, accept = 'application/json') {
    const headers = {
      authorization,
      accept,
      ...(body !== undefined && { 'content-type': contentType ?? 'application/json' }),
    };
    const response = await calls.request({ method, path, headers, body: body ?? null });
    const text = await response.body.text();
    const isExpected = response.statusCode < 300 || (method === 'GET' && response.statusCode === 404);
    if (!isExpected) throw new Error(`floor: ${method} ${path}: ${response.statusCode} ${text}`);
    return text;
  }

  async function listAndWatch(path: string, selector = '', metadataOnly = false): Promise<void> {
    let page = '';
    let resourceVersion: string | undefined;
    do {
      const query = `?limit=500${selector}${page && `&continue=${page}`}`;
      const text = await send(
        { method: 'GET', path: path + query },
        metadataOnly ? METADATA_LIST : 'application/json',
      );
      // The metadata of a list stands before its items.
      const head = text.slice(0, 2_000);
      page = /"continue":"([^"]+)"/.exec(head)?.[1] ?? '';
      resourceVersion = /"resourceVersion":"(\d+)"/.exec(head)?.[1];
    } while (page !== '');
    const query = `?watch=true&allowWatchBookmarks=true&resourceVersion=${resourceVersion}${selector}`;
    const accept = metadataOnly ? METADATA : 'application/json';
    const headers = { authorization, accept };
    const watch = await watches.request({ method: 'GET', path: path + query, headers, signal: stop.signal });
    watch.body.on('error', () => undefined).resume();
  }

  const startedAt = performance.now();
  await listAndWatch(accountPath(namespace));
  const secrets = `/api/v1/namespaces/${namespace}/secrets`;
  const type = (operator: string): string =>
    `&fieldSelector=${encodeURIComponent(`type${operator}${VERIFIED_SECRET_TYPE}`)}`;
  await Promise.all([listAndWatch(secrets, type('!='), true), listAndWatch(secrets, type('='), true)]);
  const due: Prepared[] = [];
  let eventLanes = 0;
  async function sendEvents(): Promise<void> {
    eventLanes++;
    for (let event = due.shift(); event !== undefined; event = due.shift()) await send(event);
    eventLanes--;
  }
  let eventsSent: Promise<unknown> = Promise.resolve();
  await inParallel(plan.accounts, concurrency, async (requests, i) => {
    for (const request of requests) await send(request);
    due.push(...plan.events.slice(i, i + 1));
    if (eventLanes < EVENT_LANES) eventsSent = Promise.all([eventsSent, sendEvents()]);
  });
  const seconds = (performance.now() - startedAt) / 1_000;
  await eventsSent;
  stop.abort();
  await Promise.all([calls.destroy(), watches.destroy()]);
  return seconds;
}

function tokenOf(kubeconfig: string): string {
  const { users } = load(readFileSync(kubeconfig, 'utf8')) as { users: { user: { token: string } }[] };
  return users[0]?.user.token ?? '';
}

/** As many calls as the operator made, to a path that any cloud refuses after the same time. */
async function providerFloor({ clouds }: World, calls: FirstSight['calls']): Promise<number> {
  const ca = readFileSync(clouds.caFile, 'utf8');
  const startedAt = performance.now();
  await Promise.all(
    PROVIDER_NAMES.map(async provider => {
      const pool = new Pool(clouds.origins[provider], { connections: PROVIDER_LANES, connect: { ca } });
      await inParallel(Array(calls[provider]).fill('/'), PROVIDER_LANES, async path => {
        const { body } = await pool.request({ method: 'GET', path: path as string });
        await body.dump();
      });
      await pool.destroy();
    }),
  );
  return (performance.now() - startedAt) / 1_000;
}
