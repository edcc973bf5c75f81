import { describe, expect, test } from '@jest/globals';
import { anchors, codeBlocks, linkTargets } from './markdown.ts';

const PAGE = `# What happens if …

See [one](a.md#b), \`[code](no.md)\` and [two
words](c.md).

\`\`\`yaml
# not a heading, [no link](d.md)
a: 1
\`\`\`

## \`status\`, and [what](e.md) to do

   \`\`\`console
   $ true
   \`\`\`

## Again
## Again
`;

describe('a Markdown page', () => {
  test('has links outside of code', () => {
    expect(linkTargets(PAGE)).toEqual(['a.md#b', 'c.md', 'e.md']);
  });

  test('has the anchors that GitHub gives its headings', () => {
    expect(anchors(PAGE)).toEqual(['what-happens-if-', 'status-and-what-to-do', 'again', 'again-1']);
  });

  test('has code blocks with their language', () => {
    expect(codeBlocks(PAGE)).toEqual([
      { language: 'yaml', text: '# not a heading, [no link](d.md)\na: 1\n' },
      { language: 'console', text: '   $ true\n' },
    ]);
  });
});
