// Generates the schema of what a proof holds from the CRD: the annotation of a copy is read back by it.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { load } from 'js-yaml';
import type { Schema } from '../../operator/accounts/conform.ts';
import { finish, type GeneratedFile, ROOT } from './output.ts';

const CRD = 'crds/strackt.io_cloudaccounts.yaml';

/** `status.account` and `status.credential` without what the operator does not need of them. */
function proofSchema(): Record<'account' | 'credential', Schema> {
  const crd = load(readFileSync(join(ROOT, CRD), 'utf8')) as {
    spec: { versions: { schema: { openAPIV3Schema: Schema } }[] };
  };
  const status = crd.spec.versions[0]?.schema.openAPIV3Schema.properties?.['status']?.properties ?? {};
  const { account, credential } = status;
  if (account === undefined || credential === undefined) throw new Error(`${CRD}: no such fields in status`);
  return { account: bare(account), credential: bare(credential) };
}

function bare({ type, required, properties, items, maxItems, maxLength, format }: Schema): Schema {
  return {
    type,
    ...(required && { required }),
    ...(properties && {
      properties: Object.fromEntries(
        Object.entries(properties).map(([name, property]) => [name, bare(property)]),
      ),
    }),
    ...(items && { items: bare(items) }),
    ...(maxItems !== undefined && { maxItems }),
    ...(maxLength !== undefined && { maxLength }),
    ...(format !== undefined && { format }),
  };
}

function generate(): GeneratedFile {
  const banner = `// Generated from ${CRD} by scripts/generate/proof-schema.ts. Do not edit.`;
  const content = `${banner}\n\n/** Schema of \`status.account\` and \`status.credential\`. */\nexport const PROOF_SCHEMA = ${JSON.stringify(proofSchema(), null, 2)} as const;\n`;
  return { path: 'operator/api/proof-schema.generated.ts', content };
}

finish([generate()], import.meta.filename);
