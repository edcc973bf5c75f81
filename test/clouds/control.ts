import type { Answer } from './answer.ts';
import type { Fault } from './faults.ts';
import type { Cloud, CloudRequest, CloudToken } from './kit.ts';
import { json } from './answer.ts';

/** Arguments of a command, as JSON. */
type Arguments = Record<string, unknown>;

/**
 * The control API of every simulated cloud: `POST /_control/<command>` with JSON arguments. It is for demos and
 * tests on loopback and asks for no authentication.
 */
const COMMANDS: Record<string, (cloud: Cloud, args: Arguments) => unknown> = {
  tokens: cloud => cloud.tokens.map(describe),
  'create-token': (cloud, args) => {
    const token = cloud.createToken(args);
    return { ...describe(token), credential: token.credential };
  },
  revoke: (cloud, args) => change(cloud, args, { revoked: true }),
  restore: (cloud, args) => {
    const token = cloud.token(which(args));
    token.revoked = false;
    delete token.expiresAt;
    delete token.addresses;
    return describe(token);
  },
  expire: (cloud, args) => change(cloud, args, { expiresAt: cloud.now() }),
  scopes: (cloud, args) => change(cloud, args, { scopes: strings(args['scopes']) }),
  addresses: (cloud, args) => change(cloud, args, { addresses: strings(args['addresses']) }),
  /** Facts of the token's account, such as `{"status": "locked"}`; what there is differs from cloud to cloud. */
  account: (cloud, args) => Object.assign(cloud.token(which(args)).account, args['changes']),
  fault: (cloud, args) => {
    cloud.inject(args['fault'] as Fault, args['scope'] ?? {});
    return { ok: true };
  },
  'clear-faults': cloud => {
    cloud.clearFaults();
    return { ok: true };
  },
  log: cloud => cloud.log,
};

export function answerControl(cloud: Cloud, request: CloudRequest): Answer {
  const name = request.path.slice('/_control/'.length);
  const command = COMMANDS[name];
  if (command === undefined)
    return json(404, { error: `no command ${name}; there are ${Object.keys(COMMANDS).join(', ')}` });
  try {
    const args = (request.body === '' ? {} : JSON.parse(request.body)) as Arguments;
    return json(200, command(cloud, args));
  } catch (error) {
    return json(400, { error: (error as Error).message });
  }
}

/** Sends a command to the cloud at `url`. Throws with the cloud's own text when it refuses. */
export async function control(url: string, command: string, args: Arguments = {}): Promise<unknown> {
  const response = await fetch(`${url}/_control/${command}`, { method: 'POST', body: JSON.stringify(args) });
  const body = (await response.json()) as { error?: string };
  if (!response.ok) throw new Error(body.error ?? `status ${response.status}`);
  return body;
}

function change(cloud: Cloud, args: Arguments, changes: Partial<CloudToken>): unknown {
  cloud.change(which(args), changes);
  return describe(cloud.token(which(args)));
}

function which(args: Arguments): string | number {
  const token = args['token'];
  if (typeof token !== 'string' && typeof token !== 'number') throw new Error('"token" must name a token');
  return token;
}

function strings(value: unknown): string[] {
  if (!Array.isArray(value)) throw new Error('a list is needed');
  return value.map(String);
}

/** What may be shown of a token: never its bytes. */
function describe(token: CloudToken): Arguments {
  const { index, name, scopes, revoked, expiresAt, addresses } = token;
  return { index, name, scopes, revoked, expiresAt, addresses };
}
