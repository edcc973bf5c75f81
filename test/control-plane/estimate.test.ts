import { expect, test } from '@jest/globals';
import { BINARIES } from './cache.mjs';
import { createEstimate } from './estimate.ts';

test('what is left is a range at first, then goes by the pace of what is finished', () => {
  let now = 1_000;
  const estimate = createEstimate(BINARIES, () => now);
  expect(estimate.left()).toBe('7 to 14 min left');
  now += 60;
  expect(estimate.left()).toBe('6 to 13 min left');
  // Twice as slow as measured.
  now += 70;
  estimate.finished('etcd');
  expect(estimate.left()).toBe('about 11 min left');
  now += 120;
  expect(estimate.left()).toBe('about 9 min left');
});

test('with the API server from an archive the controller manager takes as long as that would have', () => {
  expect(createEstimate(['kube-controller-manager'], () => 0).left()).toBe('4 to 8 min left');
});

test('a filled cache of Go is seen by the pace, and a part that takes longer is never over before it is', () => {
  let now = 0;
  const estimate = createEstimate(BINARIES, () => now);
  now += 5;
  estimate.finished('etcd');
  expect(estimate.left()).toBe('about 1 min left');
  now += 600;
  expect(estimate.left()).toBe('about 1 min left');
});
