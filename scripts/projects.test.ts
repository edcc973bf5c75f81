import { globSync } from 'node:fs';
import { join, matchesGlob, relative } from 'node:path';
import { expect, test } from '@jest/globals';
// @ts-expect-error plain JavaScript, without types
import config from '../jest.config.js';

const ROOT = join(import.meta.dirname, '..');
const { projects } = config as { projects: { displayName: string; testMatch: string[] }[] };

/** A pattern of jest's knows braces beside folders; Node's knows them as well. */
function projectsOf(file: string): string[] {
  return projects
    .filter(({ testMatch }) => testMatch.some(glob => matchesGlob(file, glob.replace('<rootDir>/', ''))))
    .map(({ displayName }) => displayName);
}

test('every test file belongs to exactly one project, so that none is left out or run twice', () => {
  const files = globSync('**/*.{test,e2e}.ts', { cwd: ROOT, exclude: path => path.includes('node_modules') });

  expect(files.length).toBeGreaterThan(100);
  expect(
    files
      .map(file => `${relative('.', file)}: ${projectsOf(file).join(' and ') || 'no project'}`)
      .filter(line => !/: (unit|integration|e2e)$/.test(line)),
  ).toEqual([]);
});

test('a file that no project knows would be seen', () => {
  expect(projectsOf('no-such-folder/world.test.ts')).toEqual([]);
  expect(projectsOf('test/e2e/node/node.test.ts')).toEqual(['unit']);
});
