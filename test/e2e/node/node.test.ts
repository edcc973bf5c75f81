import { expect, test } from '@jest/globals';
import { type Machine, whyNoNode } from './node.ts';

const GOOD: Machine = { platform: 'linux', arch: 'x64', isRoot: true, hasApt: true, hasCgroupV1: true };

test('a node runs where all that it needs is there', () => {
  expect(whyNoNode(GOOD)).toBeUndefined();
});

test.each([
  [{ platform: 'darwin' }, 'Linux'],
  [{ arch: 'arm64' }, 'x64'],
  [{ isRoot: false }, 'root'],
  [{ hasApt: false }, 'apt-get'],
  [{ hasCgroupV1: false }, 'cgroup v1'],
])('elsewhere the reason names what is missing: %j', (missing, named) => {
  expect(whyNoNode({ ...GOOD, ...missing })).toContain(named);
});
