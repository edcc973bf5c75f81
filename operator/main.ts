import { type Config, ConfigError, helpText, parseConfig } from './config.ts';
import { loadKubeConfig } from './kube/kube-config.ts';
import { createLog, errorFacts } from './observability/log.ts';
import { LeadershipLostError, runOperator } from './run.ts';
import { VERSION } from './version.ts';

const USAGE_ERROR = 2;
const EXIT_GRACE_MS = 1_000;

await main(process.argv.slice(2));

async function main(argv: readonly string[]): Promise<void> {
  if (argv.includes('--help') || argv.includes('-h')) return void process.stdout.write(helpText());
  if (argv.includes('--version')) return void process.stdout.write(`${VERSION}\n`);
  let config: Config;
  try {
    config = parseConfig(argv);
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    process.stderr.write(`${error.message}\n`);
    process.exitCode = USAGE_ERROR;
    return;
  }
  const log = createLog(config.logLevel);
  const stop = new AbortController();
  for (const signal of ['SIGTERM', 'SIGINT'] as const) {
    process.once(signal, () => {
      log.info({ signal }, 'stopping');
      stop.abort();
    });
  }
  try {
    const kubeConfig = await loadKubeConfig({ path: config.kubeconfig });
    await runOperator({ config, kubeConfig, log, version: VERSION }, stop.signal);
  } catch (error) {
    if (error instanceof ConfigError) {
      process.stderr.write(`${error.message}\n`);
      process.exitCode = USAGE_ERROR;
      return;
    }
    log.error(errorFacts(error), 'operator failed');
    process.exitCode = 1;
    // Not when the last connection is closed, but before another process begins.
    if (error instanceof LeadershipLostError) process.exit();
    // Whatever is still open must not keep a process alive that does nothing any more.
    setTimeout(() => process.exit(), EXIT_GRACE_MS).unref();
  }
}
