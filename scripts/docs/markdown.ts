/** What the check of the documentation reads out of a Markdown file. */

export interface CodeBlock {
  /** Word after the fence; empty where there is none. */
  language: string;
  text: string;
}

/** Fenced code blocks in their order. */
export function codeBlocks(markdown: string): CodeBlock[] {
  return [...markdown.matchAll(FENCED)].map(([, , language = '', text = '']) => ({ language, text }));
}

/** Targets of links, as they are written; those in code are none. */
export function linkTargets(markdown: string): string[] {
  const prose = markdown.replaceAll(FENCED, '').replaceAll(/`[^`\n]*`/g, '');
  return [...prose.matchAll(/\]\(([^)\s]+)\)/g)].map(([, target = '']) => target);
}

/**
 * Anchors of headings as GitHub makes them: lower case, without punctuation, spaces as hyphens, numbered where they
 * repeat (https://github.com/gjtorikian/html-pipeline, table_of_contents_filter).
 */
export function anchors(markdown: string): string[] {
  const seen = new Map<string, number>();
  const prose = markdown.replaceAll(FENCED, '');
  return [...prose.matchAll(/^#{1,6} (.+)$/gm)].map(([, heading = '']) => {
    const anchor = heading
      .replaceAll(/\]\([^)]*\)/g, '')
      .toLowerCase()
      .replaceAll(/[^\p{L}\p{N}\p{M} _-]/gu, '')
      .replaceAll(' ', '-');
    const before = seen.get(anchor) ?? 0;
    seen.set(anchor, before + 1);
    return before === 0 ? anchor : `${anchor}-${before}`;
  });
}

const FENCED = /^( *)```(\S*)[^\n]*\n(.*?)^\1```/gms;
