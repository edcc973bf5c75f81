import { BLOCKS } from './blocks.ts';
import type { CloudContract } from './contract.ts';
import type { HostingerCloud } from './hostinger.ts';
import { createHostingerCloud, hostingerError } from './hostinger.ts';

const ACCEPTED = { kind: 'accepted', permissions: { state: 'Unknown', missing: [] } };

function answerOnce(cloud: HostingerCloud, status: number, body: string): void {
  cloud.inject({ kind: 'answer', status, body }, { path: '/api/vps/v1/data-centers', times: 1 });
}

function refuseOnce(cloud: HostingerCloud, status: number, message: string): void {
  answerOnce(cloud, status, hostingerError(status, message).body.toString());
}

export const hostingerContract: CloudContract<object, object> = {
  create: createHostingerCloud,
  accepted: () => ACCEPTED,
  calls: { first: 1, recheck: 1 },
  hint: ({ credential }) => `••••${credential['token']?.slice(-4)}`,
  rows: [
    { name: 'a token for an account that only looks', access: 'ReadOnly', expected: ACCEPTED },
    {
      name: 'a token that is not known (any more)',
      arrange: (_cloud, token) => void (token.revoked = true),
      expected: { kind: 'rejected', detail: 'Unauthenticated' },
    },
    {
      name: 'an expired token',
      arrange: (cloud, token) => cloud.expire(token.index),
      expected: { kind: 'rejected', detail: 'Unauthenticated' },
    },
    {
      name: 'a bare 401',
      arrange: cloud => void cloud.inject({ kind: 'empty', status: 401 }),
      expected: { kind: 'rejected' },
    },
    {
      name: '401 with a text that is in no document',
      arrange: cloud => refuseOnce(cloud, 401, 'Access ended'),
      expected: { kind: 'rejected', detail: 'Access ended' },
    },
    {
      name: '401 with the field that the introduction names',
      arrange: cloud => answerOnce(cloud, 401, '{"error":"Unauthenticated."}'),
      expected: { kind: 'rejected', detail: 'Unauthenticated.' },
    },
    {
      name: '403, which is in no document',
      arrange: cloud => refuseOnce(cloud, 403, 'Forbidden'),
      expected: { kind: 'unexpected', detail: 'HTTP 403: Forbidden' },
    },
    {
      name: 'a filter that blocks a made-up token in JSON',
      arrange: (cloud, token) => {
        token.revoked = true;
        cloud.inject(BLOCKS.egress);
      },
      expected: { kind: 'unexpected', detail: 'HTTP 403: Blocked by egress policy' },
    },
    {
      name: '422',
      arrange: cloud => refuseOnce(cloud, 422, 'The name field is required.'),
      expected: { kind: 'unexpected', detail: 'HTTP 422: The name field is required.' },
    },
    {
      name: '404 with a code in the text',
      arrange: cloud => refuseOnce(cloud, 404, '[VPS:2002] Route is not found.'),
      expected: { kind: 'unexpected', detail: 'HTTP 404: [VPS:2002] Route is not found.' },
    },
    {
      name: '200 without a list',
      arrange: cloud => answerOnce(cloud, 200, '{"ok":true}'),
      expected: { kind: 'unexpected', detail: 'HTTP 200 without a list of data centers' },
    },
  ],
  malformed: [
    {
      name: 'two lines',
      spoil: ({ token = '' }) => ({ token: `${token}\n${token}` }),
      check: 'hostinger-token-characters',
    },
  ],
};
