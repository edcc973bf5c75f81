import { fromTimestamp, toTimestamp } from '../domain/time.ts';

/** The part of a structural schema that our status uses. */
export interface Schema {
  type: string;
  required?: readonly string[];
  properties?: Readonly<Record<string, Schema>>;
  items?: Schema;
  maxItems?: number;
  maxLength?: number;
  format?: string;
}

/**
 * The value as the API server would store it under the schema, fields that the schema does not know left out; undefined
 * where it would be refused. For what is read back from a place that others can write.
 */
export function conform(schema: Schema, value: unknown): unknown {
  switch (schema.type) {
    case 'object':
      return typeof value === 'object' && value !== null && !Array.isArray(value)
        ? conformObject(schema, value as Record<string, unknown>)
        : undefined;
    case 'array':
      return Array.isArray(value) ? conformArray(schema, value) : undefined;
    case 'string':
      return typeof value === 'string' && isString(schema, value) ? value : undefined;
    default:
      return undefined;
  }
}

function conformObject(
  { properties = {}, required = [] }: Schema,
  value: Record<string, unknown>,
): object | undefined {
  const found: Record<string, unknown> = {};
  for (const [name, schema] of Object.entries(properties)) {
    if (!Object.hasOwn(value, name)) continue;
    const field = conform(schema, value[name]);
    if (field === undefined) return undefined;
    found[name] = field;
  }
  return required.every(name => Object.hasOwn(found, name)) ? found : undefined;
}

function conformArray({ items, maxItems = Infinity }: Schema, value: unknown[]): unknown[] | undefined {
  if (items === undefined || value.length > maxItems) return undefined;
  const found = value.map(item => conform(items, item));
  return found.includes(undefined) ? undefined : found;
}

/** Lengths count code points, as in the API server. Times are taken only as we write them. */
function isString({ maxLength = Infinity, format }: Schema, value: string): boolean {
  if (value.length > 2 * maxLength || Array.from(value).length > maxLength) return false;
  if (format !== 'date-time') return true;
  const time = fromTimestamp(value);
  return time !== undefined && toTimestamp(time) === value;
}
