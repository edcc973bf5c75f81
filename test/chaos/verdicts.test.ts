import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { createVultrCloud } from '../clouds/vultr.ts';
import type { Cloud } from '../clouds/kit.ts';
import type { Fault } from '../clouds/faults.ts';
import { verdictsOf } from './verdicts.ts';

let cloud: Cloud;
let door: string;

beforeEach(async () => {
  cloud = createVultrCloud();
  await cloud.listen();
  door = await cloud.openDoor();
  cloud.createToken({ name: 'own/1' });
});

afterEach(() => cloud.close());

async function ask(path: string, fault?: Fault): Promise<void> {
  const off = fault && cloud.inject(fault);
  const headers = { authorization: `Bearer ${cloud.token(0).credential['token']}` };
  await fetch(`${door}${path}`, { headers, signal: AbortSignal.timeout(300) })
    .then(answer => answer.text())
    .catch(() => undefined);
  off?.();
}

function found(): string[] {
  return verdictsOf(
    [cloud],
    credential => credential.split('/')[0],
    (_, port) => (String(port) === new URL(door).port ? 3 : undefined),
  ).map(({ account, says, process, isRepeat }) =>
    [account, says, process, ...(isRepeat ? ['again'] : [])].join(' '),
  );
}

test('an answer that reached nobody is neither a refusal nor an acceptance', async () => {
  for (const kind of ['hang', 'reset', 'truncate'] as const) {
    await ask('/v2/account', { kind, afterBytes: 60 });
    cloud.revoke(0);
    await ask('/v2/account', { kind, afterBytes: 60 });
    cloud.change(0, { revoked: false });
  }
  expect(found()).toEqual([]);
  await ask('/v2/account');
  cloud.revoke(0);
  await ask('/v2/account');
  expect(found()).toEqual(['own accepted 3', 'own refused 3']);
});

test('what a fault makes up counts only where it is a refusal in the words of the provider', async () => {
  await ask('/v2/account', { kind: 'html', status: 200 });
  await ask('/v2/account', { kind: 'html', status: 403 });
  await ask('/v2/account', { kind: 'status', status: 500 });
  expect(found()).toEqual([]);
  await ask('/v2/account', { kind: 'status', status: 401 });
  expect(found()).toEqual(['own refused 3']);
});

test('several refused calls are one check, until a call comes again', async () => {
  cloud.revoke(0);
  for (const path of ['/v2/account', '/v2/instances', '/v2/account', '/v2/instances']) await ask(path);
  expect(found()).toEqual(['own refused 3', 'own refused 3 again', 'own refused 3', 'own refused 3 again']);
});
