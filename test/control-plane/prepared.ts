/**
 * Throws within a test: the time limit of a test is not one for a download or a build of minutes, which would go on
 * behind its back. jest.config.js sets CAO_NO_BUILD; scripts/test.ts prepares what its steps need before they begin.
 * @param what is missing
 * @param where it was looked for
 */
export function assertMayBuild(what: string, where: string, env: NodeJS.ProcessEnv = process.env): void {
  if (env['CAO_NO_BUILD'] !== '1') return;
  throw new Error(
    `${what} is not there (${where}), and a test builds nothing: \`npm test\` prepares it first`,
  );
}
