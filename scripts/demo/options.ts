import { parseArgs } from 'node:util';
import { PROVIDER_NAMES, type ProviderName } from '../../operator/api/names.ts';

export const USAGE = `usage: npm run demo [-- OPTIONS]

Starts Kubernetes, seven simulated cloud providers, the operator and example accounts on this machine,
and shows what becomes of the accounts. Ctrl-C ends and removes everything.

  --real PROVIDER      leave this provider's real address alone, for a token of your own; may be repeated
  --once               exit when every example shows what it is meant to show (0), or one does not (1)
  --timeout SECONDS    how long the examples may take for that (default 120)
  --wrong-token NAME   give this example a token that its provider refuses, to see --once fail
  --dir DIR            folder for kubeconfig and logs while the demo runs (default .demo/1, .demo/2, …)`;

export interface DemoOptions {
  once: boolean;
  real: ProviderName[];
  wrongToken?: string;
  timeoutMs: number;
  dir?: string;
}

/** Reads the command line. Throws an Error with a message for the person; `help` when usage is asked for. */
export function parseOptions(args: readonly string[]): DemoOptions | 'help' {
  const { values } = parseArgs({
    args: [...args],
    options: {
      real: { type: 'string', multiple: true, default: [] },
      once: { type: 'boolean', default: false },
      timeout: { type: 'string', default: '120' },
      'wrong-token': { type: 'string' },
      dir: { type: 'string' },
      help: { type: 'boolean', short: 'h', default: false },
    },
  });
  if (values.help) return 'help';
  const seconds = Number(values.timeout);
  if (!(seconds > 0 && seconds <= 3600)) {
    throw new Error(`--timeout: seconds from 1 to 3600 are needed, not "${values.timeout}"`);
  }
  return {
    once: values.once,
    real: values.real.map(provider),
    timeoutMs: seconds * 1000,
    ...(values['wrong-token'] !== undefined && { wrongToken: values['wrong-token'] }),
    ...(values.dir !== undefined && { dir: values.dir }),
  };
}

function provider(text: string): ProviderName {
  const found = PROVIDER_NAMES.find(name => name.toLowerCase() === text.toLowerCase());
  if (found === undefined) {
    throw new Error(`--real: no provider is called ${text}; there are ${PROVIDER_NAMES.join(', ')}`);
  }
  return found;
}
