import { describe, expect, test } from '@jest/globals';
import { PROVIDER_NAMES } from '../../operator/api/names.ts';
import { CHECKS, SINGLE_FAULTS } from '../../test/contract/single-faults.ts';
import { ANSWERS } from '../../test/integration/fault-matrix/answers.ts';
import { renderFaultMatrix } from './fault-matrix.ts';

describe('the page of what happens if', () => {
  const page = renderFaultMatrix(ANSWERS);

  test('has a section for each provider and each situation that its beginning links to', () => {
    const anchors = [...page.matchAll(/\]\(#([a-z-]+)\)/g)].map(([, anchor]) => anchor);
    const headings = [...page.matchAll(/^## (.+)$/gm)].map(([, text]) =>
      text?.toLowerCase().replaceAll(' ', '-'),
    );
    expect(anchors.length).toBeGreaterThan(PROVIDER_NAMES.length);
    for (const anchor of anchors) expect(headings).toContain(anchor);
  });

  test('tells every answer of a provider with its reason', () => {
    for (const { name, origin } of ANSWERS)
      if (['provider', 'offline'].includes(origin))
        expect(page.toLowerCase()).toContain(name.replaceAll('|', '\\|').toLowerCase());
    expect(page).toMatch(/\| HTTP 401 token_readonly \| Refused \| `MissingPermission` \|/);
  });

  test('tells each call that may fail alone, and how', () => {
    for (const { calls } of CHECKS)
      for (const call of calls) expect(page).toContain(`\`${call.replace(':username', '<user name>')}\``);
    for (const { name } of SINGLE_FAULTS) expect(page).toContain(name);
  });
});
