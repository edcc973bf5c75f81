// Copies the CRDs into the chart, since Helm reads nothing outside it. `--check`: exit 1 when a copy is stale.
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { finish, ROOT } from './output.ts';

const CRDS = 'crds';
const COPIES = 'charts/cloud-account-operator/files/crds';

const names = readdirSync(join(ROOT, CRDS)).filter(name => name.endsWith('.yaml'));
finish(
  names.map(name => ({ path: `${COPIES}/${name}`, content: readFileSync(join(ROOT, CRDS, name), 'utf8') })),
  import.meta.filename,
);
