/**
 * Resolves with the first value of `read` that `accept` takes. Rejects after `timeoutMs` with what was seen last,
 * so that a failing test says what there was instead.
 */
export async function eventually<T>(
  read: () => Promise<T> | T,
  accept: (value: T) => boolean,
  what: string,
  timeoutMs = 20_000,
): Promise<T> {
  const deadline = performance.now() + timeoutMs;
  for (;;) {
    const value = await read();
    if (accept(value)) return value;
    if (performance.now() > deadline)
      throw new Error(`not seen: ${what}; last: ${JSON.stringify(value, null, 1)}`);
    await new Promise(resolve => setTimeout(resolve, 20));
  }
}
