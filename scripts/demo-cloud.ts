import { join, relative, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { PROVIDER_NAMES, type ProviderName } from '../operator/api/names.ts';
import { control } from '../test/clouds/control.ts';
import { applyFaults, createToken, FAULTS, type Token, tokensOf } from './demo/clouds.ts';
import { filledSecret } from './demo/examples.ts';
import { type Demo, type DemoAccount, demoIn, runningDemos, writeState } from './demo/folder.ts';

/** `npm run demo:cloud`: what a person does at a provider, done in the simulated clouds of a running demo. */

const USAGE = `usage: npm run demo:cloud -- [--dir DIR] COMMAND

Changes the simulated clouds of the running demo (of several: the newest, or the one in DIR).

  list                      the accounts, their tokens, and what is down
  revoke NAME               revoke the token of an account
  restore NAME              undo that; also lifts its list of allowed addresses
  token NAME                make a new token for the same cloud account and print it as a Secret:
                            npm run -s demo:cloud -- token NAME | kubectl apply --server-side -f -
  down PROVIDER|NAME [HOW]  break a provider, for all or for one account, until "up"; HOW is one of:
${Object.entries(FAULTS)
  .map(([kind, { about }], i) => `${' '.repeat(30)}${kind.padEnd(13)}${about}${i === 0 ? ' (default)' : ''}`)
  .join('\n')}
  up PROVIDER|NAME          mend it again
  log PROVIDER              the last 20 calls that the provider received

NAME is the name of an account of the demo, PROVIDER one of ${PROVIDER_NAMES.slice(0, 5).join(', ')},
${PROVIDER_NAMES.slice(5).join(', ')}.`;

/** What the person typed cannot be done; the message says why. */
class UsageError extends Error {
  override readonly name = 'UsageError';
}

interface LogEntry {
  time: number;
  method: string;
  path: string;
  token?: number;
  status: number;
}

const base = join(import.meta.dirname, '..', '.demo');

try {
  await main(process.argv.slice(2));
} catch (error) {
  console.error((error as Error).message);
  process.exitCode = error instanceof UsageError ? 2 : 1;
}

async function main(args: readonly string[]): Promise<void> {
  const { values, positionals } = parseArgs({
    args: [...args],
    options: { dir: { type: 'string' }, help: { type: 'boolean', short: 'h', default: false } },
    allowPositionals: true,
  });
  const [command = 'help', what = '', how = 'reset'] = positionals;
  if (values.help || command === 'help') return console.log(USAGE);
  const demo = findDemo(values.dir);
  switch (command) {
    case 'list':
      return list(demo);
    case 'revoke':
      return revoke(demo, accountCalled(demo, what));
    case 'restore':
      return restore(demo, accountCalled(demo, what));
    case 'token':
      return newToken(demo, accountCalled(demo, what));
    case 'down':
      return setFault(demo, what, how);
    case 'up':
      return setFault(demo, what, undefined);
    case 'log':
      return printLog(demo, providerCalled(demo, what));
    default:
      throw new UsageError(`no command is called ${command}\n\n${USAGE}`);
  }
}

function findDemo(dir: string | undefined): Demo {
  if (dir !== undefined) {
    const found = demoIn(resolve(dir));
    if (found === undefined) throw new UsageError(`no demo runs in ${dir}`);
    return found;
  }
  const [newest, ...others] = runningDemos(base);
  if (newest === undefined)
    throw new UsageError('no demo is running; start one in another terminal: npm run demo');
  if (others.length > 0) {
    const shown = (demo: Demo) => relative(process.cwd(), demo.dir);
    console.error(
      `${others.length + 1} demos are running; this is the newest, ${shown(newest)} ` +
        `(others: ${others.map(demo => `--dir ${shown(demo)}`).join(', ')})`,
    );
  }
  return newest;
}

async function list({ state }: Demo): Promise<void> {
  const rows = await Promise.all(
    state.accounts.map(async ({ name, provider }) => {
      const url = state.clouds[provider];
      const token = url === undefined ? undefined : (await tokensOf(url, name)).at(-1);
      const faults = state.faults.filter(
        fault => fault.provider === provider && (fault.account === undefined || fault.account === name),
      );
      return [name, provider, url === undefined ? 'the real provider' : tokenState(token), faultText(faults)];
    }),
  );
  for (const [name = '', provider = '', token = '', fault = ''] of [
    ['ACCOUNT', 'PROVIDER', 'TOKEN', 'NETWORK'],
    ...rows,
  ]) {
    console.log(`${name.padEnd(15)} ${provider.padEnd(13)} ${token.padEnd(32)} ${fault}`.trimEnd());
  }
}

function tokenState(token: Token | undefined): string {
  if (token === undefined) return 'none yet';
  if (token.revoked) return 'revoked';
  if (token.addresses !== undefined) return `valid, only from ${token.addresses.join(', ')}`;
  return 'valid';
}

function faultText(faults: readonly { kind: string }[]): string {
  return faults.length === 0 ? 'up' : faults.map(({ kind }) => FAULTS[kind]?.about ?? kind).join('; ');
}

async function revoke(demo: Demo, account: DemoAccount): Promise<void> {
  const { url, token } = await newestToken(demo, account);
  await control(url, 'revoke', { token });
  console.log(`The token of ${account.name} is revoked at ${account.provider}.`);
  console.log(recheckHint(demo, account));
}

async function restore(demo: Demo, account: DemoAccount): Promise<void> {
  const { url, token } = await newestToken(demo, account);
  await control(url, 'restore', { token });
  console.log(`The token of ${account.name} is valid again at ${account.provider}, from every address.`);
  console.log(recheckHint(demo, account));
}

/** Only the Secret goes to standard output, for a pipe. */
async function newToken({ state }: Demo, account: DemoAccount): Promise<void> {
  const { credential } = await createToken(cloudOf(state.clouds, account.provider), account.name);
  await applyFaults(state, account.provider);
  console.error(`A new token of ${account.name} at ${account.provider}, as the Secret ${account.secret}:`);
  console.log(JSON.stringify(filledSecret(account.secret, credential), null, 2));
}

/** Breaks a provider, or one account's calls; `kind` undefined mends it. */
async function setFault(demo: Demo, what: string, kind: string | undefined): Promise<void> {
  const { state } = demo;
  if (kind !== undefined && FAULTS[kind] === undefined) {
    throw new UsageError(`down: HOW is one of ${Object.keys(FAULTS).join(', ')}, not ${kind}`);
  }
  // hetzner is an account and Hetzner a provider: the exact name decides.
  const account = state.accounts.find(({ name }) => name === what);
  const provider = account?.provider ?? providerCalled(demo, what);
  cloudOf(state.clouds, provider);
  const scope = { provider, ...(account && { account: account.name }) };
  const whom = account === undefined ? `all accounts at ${provider}` : `${account.name} at ${provider} alone`;
  const others = state.faults.filter(fault => fault.provider !== provider || fault.account !== scope.account);
  if (kind === undefined && others.length === state.faults.length) {
    const isDown = others.some(fault => fault.provider === provider && fault.account === undefined);
    throw new UsageError(
      `${account?.name ?? provider} is not down${isDown ? `, but all of ${provider} is: npm run demo:cloud -- up ${provider}` : ''}`,
    );
  }
  state.faults = others;
  if (kind !== undefined) state.faults.push({ ...scope, kind });
  writeState(demo.dir, state);
  await applyFaults(state, provider);
  console.log(kind === undefined ? `The network is up for ${whom}.` : `For ${whom}: ${FAULTS[kind]?.about}.`);
  const asked = account ?? state.accounts.find(other => other.provider === provider);
  if (asked !== undefined) console.log(recheckHint(demo, asked));
}

async function printLog({ state }: Demo, provider: ProviderName): Promise<void> {
  const url = cloudOf(state.clouds, provider);
  const entries = (await control(url, 'log')) as LogEntry[];
  const tokens = (await control(url, 'tokens')) as Token[];
  if (entries.length === 0) console.log(`${provider} was not called yet.`);
  for (const { time, method, path, token, status } of entries.slice(-20)) {
    const account = tokens.find(({ index }) => index === token)?.name ?? 'unknown token';
    const clock = new Date(time).toLocaleTimeString('en-GB');
    console.log(`${clock}  ${account.padEnd(15)} ${method.padEnd(4)} ${path.padEnd(42)} ${status}`);
  }
}

async function newestToken(
  { state }: Demo,
  { name, provider }: DemoAccount,
): Promise<{ url: string; token: number }> {
  const url = cloudOf(state.clouds, provider);
  const token = (await tokensOf(url, name)).at(-1);
  if (token === undefined) throw new UsageError(`${name} has no token at ${provider} yet`);
  return { url, token: token.index };
}

function cloudOf(clouds: Demo['state']['clouds'], provider: ProviderName): string {
  const url = clouds[provider];
  if (url === undefined)
    throw new UsageError(`the demo runs with --real ${provider}: there is no simulated ${provider}`);
  return url;
}

function accountCalled({ state }: Demo, what: string): DemoAccount {
  const account = state.accounts.find(({ name }) => name === what.toLowerCase());
  if (account !== undefined) return account;
  const known = state.accounts.map(({ name }) => name).join(', ');
  throw new UsageError(
    `${what === '' ? 'an account must be named' : `no account is called ${what}`}; there are ${known}`,
  );
}

function providerCalled({ state }: Demo, what: string): ProviderName {
  const provider = PROVIDER_NAMES.find(name => name.toLowerCase() === what.toLowerCase());
  if (provider !== undefined) return provider;
  const account = state.accounts.find(({ name }) => name === what.toLowerCase());
  if (account !== undefined) return account.provider;
  throw new UsageError(
    `${what === '' ? 'a provider must be named' : `no provider or account is called ${what}`}; ` +
      `providers: ${PROVIDER_NAMES.join(', ')}; accounts: ${state.accounts.map(({ name }) => name).join(', ')}`,
  );
}

function recheckHint({ state }: Demo, { name }: DemoAccount): string {
  const command = `${state.kubectl} annotate cacct ${name} --overwrite strackt.io/recheck-requested="$(date +%s)"`;
  return `It shows with the next check. To have it checked now:\n    ${command}`;
}
