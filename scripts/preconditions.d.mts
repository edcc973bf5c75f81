export function isStale(root: string): boolean;
export function goProblem(result: { error?: Error; stdout?: string }): string | undefined;
