import fc from 'fast-check';
import type { ProviderName } from '../../../operator/api/names.ts';
import { type Json, weirdJson, weirdNumber, weirdText } from './arbitraries.ts';

/** What a provider answers at its paths, with status 200 and any leaf of the body odd. */
export type Answers = Record<string, { headers: Record<string, string>; body: string }>;

const leaf = fc.oneof({ weight: 3, arbitrary: weirdText }, { weight: 2, arbitrary: weirdNumber }, weirdJson);
const time = fc.oneof(
  fc.constantFrom(
    '+100000-01-01T00:00:00Z',
    '9999-12-31T23:59:59Z',
    '0001-01-01T00:00:00',
    '2900-01-01T00:00:00',
  ),
  weirdText,
);
const number = fc.oneof({ weight: 4, arbitrary: weirdNumber }, weirdJson);
/** Headers carry visible ASCII; the rest is the business of HTTP. */
const headerText = fc
  .oneof(weirdText, fc.constantFrom('*', 'linodes:read_write account:read_only'))
  .map(text => text.replace(/[^\x20-\x7e]/g, '?').slice(0, 4_000));

function answer(body: fc.Arbitrary<unknown>, headers: Record<string, fc.Arbitrary<string>> = {}) {
  return fc.record({ body: body.map(value => JSON.stringify(value)), headers: fc.record(headers) });
}

function jwt(cid: Json): string {
  const part = (value: unknown) => Buffer.from(JSON.stringify(value)).toString('base64url');
  return `${part({ alg: 'RS256' })}.${part({ cid })}.c2ln`;
}

/** Bodies that get past the verdict, so that what they hold reaches status. */
export const ANSWERS: Record<ProviderName, fc.Arbitrary<Answers>> = {
  Hetzner: fc.record({ '/v1/locations': answer(fc.record({ locations: fc.array(leaf, { maxLength: 3 }) })) }),
  DigitalOcean: fc.record({
    '/v2/account': answer(
      fc.record({
        account: fc.record(
          {
            uuid: weirdText,
            name: leaf,
            email: leaf,
            status: fc.oneof(leaf, fc.constantFrom('active', 'locked')),
            status_message: leaf,
            team: fc.oneof(fc.record({ uuid: leaf, name: leaf }), leaf),
          },
          { requiredKeys: ['uuid'] },
        ),
      }),
    ),
    '/v1/oauth/token/info': answer(
      fc.record({
        scopes: fc.oneof(fc.constant<Json>(['read', 'write']), fc.array(weirdText, { maxLength: 100 }), leaf),
        expires_in_seconds: number,
      }),
    ),
  }),
  Vultr: fc.record({
    '/v2/account': answer(fc.record({ account: fc.record({ name: leaf, email: leaf, acls: leaf }) }), {
      'x-user': headerText,
    }),
  }),
  Linode: fc.record({
    '/v4/profile': answer(
      fc.record({ uid: fc.oneof(fc.nat(), number), restricted: fc.oneof(fc.constant<Json>(false), leaf) }),
      { 'x-oauth-scopes': headerText },
    ),
    '/v4/account': answer(fc.record({ euuid: weirdText, company: leaf })),
    '/v4/linode/instances': answer(fc.record({ data: fc.array(leaf, { maxLength: 2 }) })),
    '/v4/profile/tokens': answer(
      fc.record({ data: fc.array(fc.record({ token: weirdText, expiry: time }), { maxLength: 2 }) }),
    ),
  }),
  TransIP: fc.record({
    '/v6/auth': answer(weirdJson.map(cid => ({ token: jwt(cid) }))),
    '/v6/api-test': answer(fc.constant({ ping: 'pong' })),
  }),
  Hostinger: fc.record({ '/api/vps/v1/data-centers': answer(fc.array(leaf, { maxLength: 3 })) }),
  UpCloud: fc.record({
    '/1.3/account': answer(
      fc.record({ account: fc.record({ username: weirdText.filter(name => name !== '') }) }),
    ),
    '/1.3/permission': answer(
      fc.record({ permissions: fc.record({ permission: fc.array(leaf, { maxLength: 3 }) }) }),
    ),
    '/1.3/account/tokens': answer(fc.array(fc.record({ expires_at: time }), { maxLength: 2 })),
  }),
};
