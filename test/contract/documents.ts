import { readFileSync } from 'node:fs';
import { load } from 'js-yaml';

import type { ProviderName } from '../../operator/api/names.ts';
import type { Use, Uses } from './fields.ts';

/** A use that no document declares, or that the simulated cloud never shows, and who says that it is right. */
export interface Exception {
  /** As `describe` gives it. */
  use: string;
  source: string;
}

export interface Documented {
  provider: ProviderName;
  /** In `test/clouds/specs/`. */
  file: string;
  undeclared: readonly Exception[];
  absent: readonly Exception[];
}

type Json = Record<string, unknown>;

/** An OpenAPI document, as far as it is needed here. */
export interface OpenApi {
  root: Json;
  /** Path that every path of the document stands behind, such as `/v1`. */
  base: string;
}

export function readDocument(file: string): OpenApi {
  const text = readFileSync(new URL(`../clouds/specs/${file}`, import.meta.url), 'utf8');
  const root = (file.endsWith('.json') ? JSON.parse(text) : load(text)) as Json;
  const [server] = root['servers'] as { url: string }[];
  return { root, base: new URL(server?.url ?? '').pathname.replace(/\/$/, '') };
}

/** What is wrong with the uses, one line each; empty when nothing is. */
export function problemsOf(uses: Uses, document: OpenApi, documented: Documented): string[] {
  const problems: string[] = [];
  const unused = new Set([...documented.undeclared, ...documented.absent].map(exception => exception.use));
  function unless(exceptions: readonly Exception[], use: Use, problem: string): void {
    const exception = exceptions.find(({ use: excepted }) => excepted === describe(use));
    if (exception === undefined) problems.push(`${describe(use)} ${problem}`);
    else unused.delete(exception.use);
  }
  for (const use of uses.values()) {
    if (!isDeclared(document, use)) unless(documented.undeclared, use, 'is not declared by the document');
    if (!use.present) unless(documented.absent, use, 'is never sent by the simulated cloud');
  }
  return [...problems, ...Array.from(unused, use => `the exception "${use}" is not needed`)];
}

/** Such as `GET /v2/account 200 body account.uuid`. */
export function describe({ method, path, status, where, name }: Use): string {
  return [method, path, status ?? 'sent', where, name].join(' ');
}

function isDeclared(document: OpenApi, use: Use): boolean {
  const item = pathItem(document, use.path);
  const operation = item?.[use.method.toLowerCase()];
  if (item === undefined || !isObject(operation)) return false;
  if (use.status === undefined) {
    // Security schemes stand for the header of the credential.
    if (use.where === 'header' && use.name === 'authorization') return true;
    return parameters(document, item, operation).some(
      ({ in: where, name }) => where === use.where && String(name).toLowerCase() === use.name.toLowerCase(),
    );
  }
  const response = responseOf(document, operation, use.status);
  if (use.where === 'header') {
    return Object.keys(response?.['headers'] ?? {}).some(name => name.toLowerCase() === use.name);
  }
  const content = (response?.['content'] ?? {}) as Record<string, { schema?: unknown }>;
  return declares(document, content['application/json']?.schema, use.name.replaceAll('[]', '.[]').split('.'));
}

function pathItem({ root, base }: OpenApi, path: string): Json | undefined {
  const paths = root['paths'] as Record<string, Json>;
  const bare = path.startsWith(base) ? path.slice(base.length) : path;
  const found = Object.keys(paths)
    // Fewer variable parts first: `/images/actions` before `/images/{id}`.
    .sort((one, other) => one.split('{').length - other.split('{').length)
    .find(template => new RegExp(`^${template.replace(/\{[^}]+\}/g, '[^/]+')}$`).test(bare));
  return found === undefined ? undefined : paths[found];
}

function parameters(document: OpenApi, item: Json, operation: Json): Json[] {
  const all = [
    ...((item['parameters'] ?? []) as unknown[]),
    ...((operation['parameters'] ?? []) as unknown[]),
  ];
  return all.map(parameter => resolve(document, parameter)).filter(isObject);
}

/** The response for the status itself, for its class (`4xx`), or for all others. */
function responseOf(document: OpenApi, operation: Json, status: number): Json | undefined {
  const responses = operation['responses'] as Record<string, unknown>;
  const keys = [`${status}`, `${Math.floor(status / 100)}xx`, `${Math.floor(status / 100)}XX`, 'default'];
  const response = resolve(document, responses[keys.find(key => key in responses) ?? '']);
  return isObject(response) ? response : undefined;
}

function declares(document: OpenApi, schema: unknown, path: readonly string[]): boolean {
  const [name, ...rest] = path;
  if (name === undefined) return true;
  const resolved = resolve(document, schema);
  if (!isObject(resolved)) return false;
  const own = name === '[]' ? resolved['items'] : ((resolved['properties'] ?? {}) as Json)[name];
  if (own !== undefined && declares(document, own, rest)) return true;
  return ['allOf', 'oneOf', 'anyOf'].some(key =>
    ((resolved[key] ?? []) as unknown[]).some(part => declares(document, part, path)),
  );
}

function resolve({ root }: OpenApi, node: unknown): unknown {
  let current = node;
  while (isObject(current) && typeof current['$ref'] === 'string') {
    const parts = current['$ref'].slice('#/'.length).split('/');
    current = parts.reduce<unknown>((at, part) => (isObject(at) ? at[part] : undefined), root);
  }
  return current;
}

function isObject(value: unknown): value is Json {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
