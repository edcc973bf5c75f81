import type { ProviderName } from '../../../operator/api/names.ts';
import type { ContractRow, MalformedRow } from '../../clouds/contract.ts';
import type { Cloud, CloudToken, TokenOptions } from '../../clouds/kit.ts';
import { type AnyContract, CONTRACTS } from '../../contract/support.ts';
import { SLOW_FAULTS, TRANSPORT_FAULTS, type TransportFault } from '../../contract/transport-faults.ts';
import { CHECKS, SINGLE_FAULTS } from '../../contract/single-faults.ts';
import { type Meaning, type Situation, SITUATIONS } from './expectations.ts';

/** An answer of a provider (or what comes instead of one), and what it means. */
export interface Answer {
  provider: ProviderName;
  name: string;
  /**
   * `provider`: of its own. `transport`: nothing of the provider. `single`: the same to one call, while the others are
   * answered well. `offline`: it is not asked.
   */
  origin: 'provider' | 'transport' | 'single' | 'offline';
  meaning: Meaning;
  situations: readonly Situation[];
  access: 'ReadWrite' | 'ReadOnly';
  token: TokenOptions;
  /** What happens to the token, its account or its cloud; may be done again and again. */
  arrange?: (cloud: Cloud, token: CloudToken) => void;
  spoil?: MalformedRow['spoil'];
  /** `spec.accountID` names the account that a good check proves. */
  pin?: (token: CloudToken) => string;
}

/** Nobody can tell whose their credentials are. */
const WITHOUT_IDENTITY: readonly ProviderName[] = ['Hetzner', 'Hostinger'];

/** Their ids name users, of whom two may belong to one account: another one is no other account. */
const IDENTITY_OF_USERS: readonly ProviderName[] = ['Vultr'];

/** Everything that a provider may answer, from its contract, and what may come from between. */
export const ANSWERS: readonly Answer[] = CONTRACTS.flatMap(([provider, contract]) => [
  ...ownAnswers(provider, contract),
  ...[...TRANSPORT_FAULTS, ...SLOW_FAULTS].map(fault => transportFault(provider, fault)),
  ...singleFaults(provider, contract),
]);

function ownAnswers(provider: ProviderName, contract: AnyContract): Answer[] {
  const common = { provider, access: 'ReadWrite', token: {} } as const;
  const goodToken = contract.create().createToken() as CloudToken;
  const good: Answer = {
    ...common,
    name: 'a good credential',
    origin: 'provider',
    meaning: 'accepted',
    situations: SITUATIONS,
  };
  const rows = (contract.rows as readonly ContractRow<object, object>[]).map((row): Answer => {
    return {
      ...common,
      name: row.name,
      origin: 'provider',
      meaning: meaningOf(row, goodToken),
      situations: row.depth === 'recheck' ? ['inForce'] : SITUATIONS,
      access: row.access ?? 'ReadWrite',
      token: row.token ?? {},
      ...(row.arrange !== undefined && {
        arrange: (within, token) => row.arrange?.(within, token),
      }),
    };
  });
  const malformed = contract.malformed.map(({ name, spoil }): Answer => ({
    ...common,
    name,
    origin: 'offline',
    meaning: 'malformed',
    situations: ['first', 'replacement'],
    spoil,
  }));
  const usersOnly = IDENTITY_OF_USERS.includes(provider);
  const other: Answer = {
    ...common,
    name: `a good credential of another ${usersOnly ? 'user, of whatever account' : 'account'}`,
    origin: 'provider',
    meaning: usersOnly ? 'accepted' : 'differentAccount',
    situations: ['replacement'],
    token: { account: 'another' },
  };
  return [good, ...rows, ...(WITHOUT_IDENTITY.includes(provider) ? [] : [other]), ...malformed];
}

/** Which token it is decides ids and names in the outcome, not its kind. */
function meaningOf({ expected }: ContractRow<object, object>, token: CloudToken): Meaning {
  const outcome =
    typeof expected === 'function' ? (expected as (token: CloudToken) => object)(token) : expected;
  return (outcome as { kind: Meaning }).kind;
}

/**
 * The check with most calls of the provider, each of which fails alone, with a pin where there is an identity. The whole
 * product is tried without Kubernetes (`test/contract/single-faults.test.ts`); here what ended as a verdict once.
 */
function singleFaults(provider: ProviderName, contract: AnyContract): Answer[] {
  const check = CHECKS.find(one => one.provider === provider);
  if (check === undefined || check.calls.length === 1) return [];
  return check.calls.flatMap(path =>
    SINGLE_FAULTS.flatMap(({ name, fault, played }): Answer[] =>
      played === undefined
        ? []
        : [
            {
              provider,
              name: `${name} on \`${path}\` alone`,
              origin: 'single',
              meaning: played,
              situations: SITUATIONS,
              access: 'ReadWrite',
              token: check.token,
              pin: token => (contract.accepted(token) as { account: { ids: [string] } }).account.ids[0],
              arrange: (cloud, token) => {
                check.arrange?.(cloud, token);
                cloud.inject(fault, { path });
              },
            },
          ],
    ),
  );
}

function transportFault(provider: ProviderName, { name, fault, expected }: TransportFault): Answer {
  return {
    provider,
    name,
    origin: 'transport',
    meaning: expected.kind,
    situations: SITUATIONS,
    access: 'ReadWrite',
    token: {},
    arrange: cloud => void cloud.inject(fault),
  };
}
