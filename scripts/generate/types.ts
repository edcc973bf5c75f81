// Generates the TypeScript types of the custom resources from the CRDs. `--check`: exit 1 when they are stale.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { compile, type JSONSchema } from 'json-schema-to-typescript';
import { load } from 'js-yaml';
import { finish, ROOT, type GeneratedFile } from './output.ts';

interface Schema extends JSONSchema {
  properties?: Record<string, Schema>;
  items?: Schema;
}

interface CustomResourceDefinition {
  spec: {
    group: string;
    names: { kind: string };
    versions: { name: string; schema: { openAPIV3Schema: Schema } }[];
  };
}

/** Names of the types, by path in the schema. Equal names mean equal types; what is not named stays inline. */
const TYPE_NAMES: Record<string, Record<string, string>> = {
  CloudAccount: {
    '': 'CloudAccount',
    metadata: 'ObjectMeta',
    spec: 'CloudAccountSpec',
    'spec.credentialsSecretRef': 'CredentialsSecretRef',
    'spec.verifiedSecret': 'VerifiedSecretSpec',
    status: 'CloudAccountStatus',
    'status.conditions[]': 'Condition',
    'status.account': 'AccountStatus',
    'status.credential': 'CredentialStatus',
    'status.credential.permissions': 'PermissionsStatus',
    'status.credential.source': 'SecretRevision',
    'status.verifiedSecretRef': 'VerifiedSecretRef',
    'status.candidate': 'CandidateStatus',
    'status.candidate.source': 'SecretRevision',
    'status.confirming': 'ConfirmingStatus',
    'status.refusals': 'RefusalsStatus',
    'status.lastAttempt': 'LastAttemptStatus',
    'status.servers': 'ServersStatus',
  },
};

/** The part of metadata that the operator reads, as the API server returns it. */
const OBJECT_META: Schema = {
  type: 'object',
  description: 'Metadata as the API server returns it.',
  required: ['name', 'namespace', 'uid', 'resourceVersion', 'generation', 'creationTimestamp'],
  properties: {
    name: { type: 'string' },
    namespace: { type: 'string' },
    uid: { type: 'string' },
    resourceVersion: { type: 'string' },
    generation: { type: 'integer' },
    creationTimestamp: { type: 'string' },
    deletionTimestamp: { type: 'string' },
    labels: { type: 'object', additionalProperties: { type: 'string' } },
    annotations: { type: 'object', additionalProperties: { type: 'string' } },
    finalizers: { type: 'array', items: { type: 'string' } },
  },
};

async function generate(crdFile: string, output: string): Promise<GeneratedFile> {
  const crd = load(readFileSync(join(ROOT, crdFile), 'utf8')) as CustomResourceDefinition;
  const { kind } = crd.spec.names;
  const version = crd.spec.versions[0];
  const names = TYPE_NAMES[kind];
  if (version === undefined || names === undefined)
    throw new Error(`${crdFile}: no version, or no names for ${kind}`);

  const root = structuredClone(version.schema.openAPIV3Schema);
  root.properties = {
    ...root.properties,
    apiVersion: { const: `${crd.spec.group}/${version.name}` },
    kind: { const: kind },
    metadata: OBJECT_META,
  };
  root.required = ['apiVersion', 'kind', 'metadata', ...((root.required as string[] | undefined) ?? [])];
  const definitions: Record<string, Schema> = {};
  nameTypes(root, '', names, definitions);
  const content = await compile({ ...definitions[kind], $defs: definitions, title: kind }, kind, {
    additionalProperties: false,
    bannerComment: `// Generated from ${crdFile} by scripts/generate/types.ts. Do not edit.`,
    ignoreMinAndMaxItems: true,
    style: { printWidth: 110, singleQuote: true, arrowParens: 'avoid' },
  });
  return { path: output, content };
}

/**
 * Moves named types into definitions, so that each is emitted once, under its name. A reference has no description of
 * its own: json-schema-to-typescript would make a type of its own for it.
 */
function nameTypes(
  schema: Schema,
  path: string,
  names: Record<string, string>,
  definitions: Record<string, Schema>,
): Schema {
  const copy: Schema = { ...schema };
  if (copy.properties) {
    copy.properties = Object.fromEntries(
      Object.entries(copy.properties).map(([name, property]) => [
        name,
        nameTypes(property, path === '' ? name : `${path}.${name}`, names, definitions),
      ]),
    );
  }
  if (copy.items) copy.items = nameTypes(copy.items, `${path}[]`, names, definitions);
  const name = names[path];
  if (name === undefined) return copy;
  definitions[name] ??= { ...copy, title: name };
  return { $ref: `#/$defs/${name}` };
}

finish(
  [await generate('crds/strackt.io_cloudaccounts.yaml', 'operator/api/cloudaccount.generated.ts')],
  import.meta.filename,
);
