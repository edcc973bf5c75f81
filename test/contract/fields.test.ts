import { beforeAll, describe, expect, jest, test } from '@jest/globals';

import type { ProviderName } from '../../operator/api/names.ts';
import { PROVIDERS } from '../../operator/providers/index.ts';
import type { Documented, OpenApi } from './documents.ts';
import { problemsOf, readDocument } from './documents.ts';
import type { Uses } from './fields.ts';
import { watched } from './fields.ts';
import type { AnyContract } from './support.ts';
import { CONTRACTS, startBench } from './support.ts';

// Slow machines: many small calls in one test.
jest.setTimeout(60_000);

const TOKEN_INFO_SOURCE =
  'digitalocean/doctl do/oauth.go: an endpoint of the console that the official CLI uses; in no document';

const IAM_CALL = 'GET /v4/iam/users/{username}/permissions/account';
const IAM_USES = [
  'sent header authorization',
  '404 body errors',
  '404 body errors[].reason',
  '404 body errors[].field',
];

const DOCUMENTED: readonly Documented[] = [
  {
    provider: 'DigitalOcean',
    file: 'digitalocean/openapi-trimmed.json',
    undeclared: [
      { use: 'GET /v1/oauth/token/info sent header authorization', source: TOKEN_INFO_SOURCE },
      { use: 'GET /v1/oauth/token/info 200 body scopes', source: TOKEN_INFO_SOURCE },
      { use: 'GET /v1/oauth/token/info 200 body expires_in_seconds', source: TOKEN_INFO_SOURCE },
    ],
    absent: [],
  },
  {
    provider: 'Linode',
    file: 'linode/openapi.yaml',
    undeclared: [
      {
        use: 'GET /v4/profile 200 header x-oauth-scopes',
        source: 'openapi.yaml v4.169.0, introduction; sent live: linode/linodego test/integration/fixtures',
      },
      {
        use: 'GET /v4/profile 200 header x-customer-uuid',
        source:
          'openapi.yaml v4.169.0, introduction; linode/manager packages/manager/src/request.tsx takes the account from it',
      },
      ...IAM_USES.map(use => ({
        use: `${IAM_CALL} ${use}`,
        source:
          'linode/manager packages/api-v4/src/iam/iam.ts getUserAccountPermissions; newer than the document',
      })),
      {
        use: 'GET /v4/profile/tokens sent query page_size',
        source:
          'its answer is the paginated envelope, and linode/linodego profile_tokens.go ListTokens sends page options',
      },
    ],
    absent: [
      'GET /v4/profile 401',
      'GET /v4/account 401',
      `${IAM_CALL} 404`,
      'GET /v4/linode/instances 401',
      'GET /v4/account 403',
      'GET /v4/linode/instances 403',
    ].map(answer => ({
      use: `${answer} body errors[].field`,
      source: 'openapi.yaml: only where the error is about a field of the request, and these calls have none',
    })),
  },
  { provider: 'Hetzner', file: 'hetzner/hcloud-unofficial-trimmed.json', undeclared: [], absent: [] },
];

describe.each(DOCUMENTED.map(documented => [documented.provider, documented] as const))(
  '%s',
  (name, documented) => {
    const contract = CONTRACTS.find(([known]) => known === name)?.[1];
    if (contract === undefined) throw new Error(`no contract for ${name}`);
    let document: OpenApi;

    beforeAll(() => {
      document = readDocument(documented.file);
    });

    test('every field that is read or sent is declared by its document and sent by its simulated cloud', async () => {
      const uses = await usesOf(name, contract);
      expect(uses.size).toBeGreaterThan(3);
      expect(problemsOf(uses, document, documented)).toEqual([]);
    });

    test('renaming any one of these fields in the simulated cloud is noticed', async () => {
      const uses = await usesOf(name, contract);
      const fields = new Set(
        Array.from(uses.values())
          .filter(use => use.where === 'body' && use.status !== undefined && use.present)
          .map(use => use.name.split(/[.[\]]+/).findLast(part => part !== '') ?? ''),
      );
      expect(fields.size).toBeGreaterThan(1);
      for (const field of fields) {
        const problems = problemsOf(await usesOf(name, contract, field), document, documented);
        expect({ field, problems: problems.length }).not.toEqual({ field, problems: 0 });
      }
    });
  },
);

/** All that the module uses in the rows of its contract; with `renamed`, against a cloud that calls that field otherwise. */
async function usesOf(name: ProviderName, contract: AnyContract, renamed?: string): Promise<Uses> {
  const uses: Uses = new Map();
  for (const row of [undefined, ...contract.rows]) {
    const bench = await startBench(name, contract, {
      providers: {
        [name]: watched(PROVIDERS[name], uses, () => bench.cloud.log.at(-1)?.invented === true),
      },
    });
    const token = bench.cloud.createToken(row?.token);
    row?.arrange?.(bench.cloud, token);
    if (renamed !== undefined) bench.cloud.inject({ kind: 'rename', from: renamed, to: `${renamed}_2` });
    await bench.checker.check(name, token.credential, {
      access: row?.access ?? 'ReadWrite',
      depth: row?.depth ?? 'first',
    });
    await bench.close();
  }
  return uses;
}
