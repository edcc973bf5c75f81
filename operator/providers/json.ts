/** A field of a JSON object; undefined where `json` is no object or has no such field. */
export function field(json: unknown, name: string): unknown {
  if (typeof json !== 'object' || json === null || Array.isArray(json)) return undefined;
  return (json as Record<string, unknown>)[name];
}

/** A field that holds a string that is not empty. */
export function textField(json: unknown, name: string): string | undefined {
  const value = field(json, name);
  return typeof value === 'string' && value !== '' ? value : undefined;
}
