/** Something that the code holds for impossible: a bug. The message names no fact of an account, so it may be logged. */
export class InvariantError extends Error {
  override readonly name = 'InvariantError';
}
