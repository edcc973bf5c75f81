// Renders deploy/install.yaml from the chart with Helm. `--check`: exit 1 when it is stale.
import { createHash } from 'node:crypto';
import { globSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { findHelm, findOrBuildHelm, renderChart } from './helm.ts';
import { finish, ROOT } from './output.ts';

const CHART = 'charts/cloud-account-operator';
const OUTPUT = 'deploy/install.yaml';
const RELEASE = { name: 'cloud-account-operator', namespace: 'cloud-account-operator-system' };

/** What only Helm uses would be a false statement in a file for kubectl. */
const HELM_ONLY = /^ *(helm\.sh\/chart:|app\.kubernetes\.io\/managed-by: Helm|# Source:).*\n/gm;

/** Hash of all that the rendering depends on: tells of a stale file where there is no Helm. */
function hashOfSources(): string {
  const hash = createHash('sha256');
  const sources = globSync(`${CHART}/**/*.{yaml,tpl,txt}`, { cwd: ROOT }).sort();
  for (const path of [...sources, 'scripts/generate/install.ts']) {
    const content = readFileSync(join(ROOT, path));
    hash.update(`${path}\n${content.length}\n`).update(content);
  }
  return hash.digest('hex');
}

function header(): string {
  return `# Installs the operator: kubectl apply --server-side -f ${OUTPUT}
# Rendered from ${CHART} by scripts/generate/install.ts. Do not edit.
# Sources: sha256 ${hashOfSources()}
`;
}

async function render(helm: string): Promise<string> {
  const rendered = await renderChart(helm, join(ROOT, CHART), RELEASE, [
    '--set',
    'crds.keep=false',
    '--skip-tests',
  ]);
  const documents = rendered.replaceAll(HELM_ONLY, '').replaceAll(/\n\n+---\n/g, '\n---\n');
  return `${header()}---
apiVersion: v1
kind: Namespace
metadata:
  name: ${RELEASE.namespace}
  labels:
    pod-security.kubernetes.io/enforce: restricted
${documents.trimEnd()}
`;
}

const check = process.argv.includes('--check');
const helm = check && !process.env['CI'] ? findHelm() : await findOrBuildHelm();
if (helm !== undefined) {
  finish([{ path: OUTPUT, content: await render(helm) }], import.meta.filename);
} else if (readFileSync(join(ROOT, OUTPUT), 'utf8').startsWith(header())) {
  console.log(`${OUTPUT}: no Helm here, compared by the hash of its sources`);
} else {
  console.error(`${OUTPUT} is stale: run \`node scripts/generate/install.ts\` and commit the result`);
  process.exitCode = 1;
}
