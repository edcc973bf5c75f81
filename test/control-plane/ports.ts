import { createServer } from 'node:net';

/**
 * Ports below the range that kernels hand out for outgoing connections (Linux 32768, macOS 49152). A port of that
 * range can be taken by any connection while the API server is stopped, even by a client's attempt to reach that very
 * port, which then talks to itself.
 */
const FIRST_PORT = 20_000;
const LAST_PORT = 32_000;

/** Different ports on loopback that nothing listened on a moment ago. */
export async function freePorts(count: number): Promise<number[]> {
  const ports = new Set<number>();
  while (ports.size < count) {
    const port = FIRST_PORT + Math.floor(Math.random() * (LAST_PORT - FIRST_PORT));
    if (await isFree(port)) ports.add(port);
  }
  return [...ports];
}

function isFree(port: number): Promise<boolean> {
  return new Promise(resolve => {
    const server = createServer();
    server.once('error', () => resolve(false));
    server.listen(port, '127.0.0.1', () => server.close(() => resolve(true)));
  });
}
