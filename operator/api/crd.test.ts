import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from '@jest/globals';
import { load } from 'js-yaml';
import { GROUP, PROVIDER_NAMES, VERSION } from './names.ts';

interface Schema {
  type?: string;
  format?: string;
  description?: string;
  enum?: string[];
  properties?: Record<string, Schema>;
  additionalProperties?: Schema;
  items?: Schema;
  maxLength?: number;
  maxItems?: number;
  maxProperties?: number;
}

interface Definition {
  spec: { group: string; versions: { name: string; schema: { openAPIV3Schema: Schema } }[] };
}

const file = join(import.meta.dirname, '..', '..', 'crds', 'strackt.io_cloudaccounts.yaml');
const definition = load(readFileSync(file, 'utf8')) as Definition;
const root = definition.spec.versions[0]!.schema.openAPIV3Schema;

/** Every field below spec and status with its path. */
function fields(schema: Schema, path: string): [string, Schema][] {
  const children: [string, Schema][] = [];
  for (const [name, child] of Object.entries(schema.properties ?? {}))
    children.push([`${path}.${name}`, child]);
  if (schema.items) children.push([`${path}[]`, schema.items]);
  if (schema.additionalProperties) children.push([`${path}{}`, schema.additionalProperties]);
  return [[path, schema], ...children.flatMap(([childPath, child]) => fields(child, childPath))];
}

const all = ['spec', 'status'].flatMap(name => fields(root.properties![name]!, name));

describe('the CRD of CloudAccount', () => {
  test('is of the group and version that the operator speaks', () => {
    expect(definition.spec.group).toBe(GROUP);
    expect(definition.spec.versions.map(({ name }) => name)).toEqual([VERSION]);
  });

  test('knows the same providers as the operator', () => {
    expect(root.properties!['spec']!.properties!['provider']!.enum).toEqual([...PROVIDER_NAMES]);
  });

  test('describes every field', () => {
    expect(all.length).toBeGreaterThan(60);
    expect(
      all.filter(([, { description }]) => !description?.trim().endsWith('.')).map(([path]) => path),
    ).toEqual([]);
  });

  // Rules over unbounded values exceed the API server's cost budget, and status must not grow without end.
  test('bounds every field', () => {
    const unbounded = all.filter(
      ([, schema]) =>
        (schema.type === 'string' && schema.maxLength === undefined) ||
        (schema.type === 'array' && schema.maxItems === undefined) ||
        (schema.additionalProperties !== undefined && schema.maxProperties === undefined),
    );
    expect(unbounded.map(([path]) => path)).toEqual([]);
  });

  test('leaves what the operator writes open for newer operators', () => {
    const closed = all.filter(([path, schema]) => path.startsWith('status') && schema.enum !== undefined);
    expect(closed.map(([path]) => path)).toEqual(['status.conditions[].status']);
  });
});

describe('docs/spec/v1alpha1/cloudaccount.md', () => {
  const repository = join(import.meta.dirname, '..', '..');
  const page = readFileSync(join(repository, 'docs', 'spec', 'v1alpha1', 'cloudaccount.md'), 'utf8');

  test('speaks of every field', () => {
    const names = all.map(([path]) =>
      path
        .replace(/(\[\]|\{\})$/, '')
        .split('.')
        .at(-1)!,
    );
    const inConditions = ['type', 'status', 'lastTransitionTime', 'message'];
    const missing = new Set(names.filter(name => !new RegExp(`\\b${name}\\b`).test(page)));
    expect([...missing].filter(name => !inConditions.includes(name))).toEqual([]);
  });

  test('says of every reason what to do', () => {
    const source = readFileSync(join(import.meta.dirname, 'names.ts'), 'utf8');
    const union = /export type AccountReason =([^;]*);/.exec(source)?.[1] ?? '';
    const reasons = [...union.matchAll(/'(\w+)'/g)].map(match => match[1]!);
    expect(reasons.length).toBeGreaterThan(15);
    expect(reasons.filter(reason => !page.includes(`\n| \`${reason}\``))).toEqual([]);
  });
});
