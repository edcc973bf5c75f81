import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { loadAll } from 'js-yaml';
import type { CloudAccount } from '../../operator/api/cloudaccount.generated.ts';
import type { AccountReason, Health, ProviderName } from '../../operator/api/names.ts';

/** What an account shows: `status.health`, and the reason of its condition Ready. */
export interface Shown {
  health: Health;
  reason: AccountReason;
}

/** What the demo does around an example, and what the account is meant to show then. */
export interface Scenario {
  shows: Shown;
  /** What is wrong, for the list that the demo prints; absent for a good account. */
  about?: string;
  /** What the token may do in the simulated cloud; default: everything, from everywhere. */
  token?: { scopes?: string[]; addresses?: string[] };
  revoked?: true;
  /** Every connection that uses this account's token breaks. */
  unreachable?: true;
  /** Shown first: the Secret is created only when the account shows this. */
  before?: Shown;
}

export interface Example {
  name: string;
  provider: ProviderName;
  account: CloudAccount;
  secret: SecretManifest;
  scenario: Scenario;
}

export interface SecretManifest {
  apiVersion: string;
  kind: string;
  metadata: { name: string };
  stringData: Record<string, string>;
}

const GOOD: Scenario = { shows: { health: 'Connected', reason: 'Verified' } };

/** By the name of the account in `examples/demo`. */
const SCENARIOS: Record<string, Scenario> = {
  'revoked-token': {
    about: 'the token was revoked',
    shows: { health: 'NeedsAttention', reason: 'CredentialRejected' },
    revoked: true,
  },
  'read-only': {
    about: 'the token may only look, ordering is asked for',
    shows: { health: 'NeedsAttention', reason: 'MissingPermission' },
    token: { scopes: ['linodes:read_only', 'account:read_only'] },
  },
  'wrong-address': {
    about: "the key's allow-list lacks our address",
    shows: { health: 'NeedsAttention', reason: 'SourceAddressNotAllowed' },
    // Of a block for documentation (RFC 5737): never where a call comes from.
    token: { addresses: ['203.0.113.7'] },
  },
  'provider-down': {
    about: 'the provider cannot be reached',
    shows: { health: 'Pending', reason: 'ProviderUnreachable' },
    unreachable: true,
  },
  'late-secret': {
    about: 'its Secret came later than the account',
    before: { health: 'Pending', reason: 'SecretNotFound' },
    shows: { health: 'Connected', reason: 'Verified' },
  },
};

/** All examples of the folder, the good ones first. Throws when one has no scenario, or a scenario no example. */
export function loadExamples(folder: string): Example[] {
  const good = readExamples(join(folder, 'accounts'), () => GOOD);
  const faulty = readExamples(join(folder, 'demo'), name => {
    const scenario = SCENARIOS[name];
    if (scenario === undefined) throw new Error(`scripts/demo/examples.ts does not say what ${name} shows`);
    return scenario;
  });
  const order = Object.keys(SCENARIOS);
  const missing = order.filter(name => !faulty.some(example => example.name === name));
  if (missing.length > 0) throw new Error(`no example in ${folder}/demo: ${missing.join(', ')}`);
  return [...good, ...faulty.sort((a, b) => order.indexOf(a.name) - order.indexOf(b.name))];
}

function readExamples(folder: string, scenarioOf: (name: string) => Scenario): Example[] {
  return readdirSync(folder)
    .filter(file => file.endsWith('.yaml'))
    .sort()
    .map(file => {
      const objects = loadAll(readFileSync(join(folder, file), 'utf8')) as { kind: string }[];
      const secret = objects.find(object => object.kind === 'Secret') as SecretManifest | undefined;
      const account = objects.find(object => object.kind === 'CloudAccount') as CloudAccount | undefined;
      const name = account?.metadata?.name;
      if (secret === undefined || account === undefined || name === undefined) {
        throw new Error(`${join(folder, file)} must hold a Secret and a CloudAccount`);
      }
      return { name, provider: account.spec.provider, account, secret, scenario: scenarioOf(name) };
    });
}

/** The example's Secret with a credential instead of its placeholders; base64, so that no terminal shows it. */
export function filledSecret(secret: string, credential: Record<string, string>) {
  return {
    apiVersion: 'v1',
    kind: 'Secret',
    metadata: { name: secret },
    data: Object.fromEntries(
      Object.entries(credential).map(([field, value]) => [field, Buffer.from(value).toString('base64')]),
    ),
  };
}
