import { join } from 'node:path';
import { styleText } from 'node:util';
import type { ProviderName } from '../../operator/api/names.ts';
import { quote } from './cluster.ts';
import type { Example } from './examples.ts';

export interface Place {
  /** Absolute folder of the demo. */
  dir: string;
  /** How to call the demo's kubectl from the root of the checkout. */
  kubectl: string;
  /** Absolute path of the kubectl that was built with the control plane. */
  builtKubectl: string;
  /** How to call `demo:cloud` for this demo, without its command. */
  cloud: string;
}

export function heading(text: string): string {
  return styleText('bold', text, { stream: process.stdout });
}

/** What the accounts with something wrong are meant to show, one line each. */
export function meaning(examples: readonly Example[]): string {
  const lines = examples
    .filter(({ scenario }) => scenario.about)
    .map(({ name, provider, scenario }) =>
      [name.padEnd(14), provider.padEnd(13), (scenario.about ?? '').padEnd(45), scenario.shows.reason].join(
        ' ',
      ),
    );
  return [heading('What is wrong with some of them'), ...indented(lines)].join('\n');
}

/** How to reach the cluster, and things to try; every line that is indented by four can be copied as it is. */
export function guide(
  { dir, kubectl, builtKubectl, cloud: demoCloud }: Place,
  real: readonly ProviderName[],
): string {
  const recheck = (name: string) =>
    `${kubectl} annotate cacct ${name} --overwrite strackt.io/recheck-requested="$(date +%s)"`;
  const cloud = (args: string) => `${demoCloud} ${args}`;
  const simulated = (provider: ProviderName, ...lines: string[]) => (real.includes(provider) ? [] : lines);
  const refused = real.includes('Vultr') ? 'linode' : 'wrong-address';
  return [
    heading('Reach the cluster'),
    ...commands(`export KUBECONFIG=${quote(join(dir, 'kubeconfig'))}`, `${quote(builtKubectl)} get cacct -A`),
    '  or, in this folder and with any shell:',
    ...commands(`${kubectl} get cacct -o wide`, `${kubectl} describe cacct ${refused}`),
    '',
    heading('Things to try, in a second terminal in this folder; what changes is shown here'),
    ...real.flatMap(provider => ownToken(kubectl, provider)),
    ...simulated(
      'DigitalOcean',
      '  Revoke a token. Three refusals take the account down, not one (5 and 10 s apart here, not minutes):',
      ...commands(cloud('revoke digitalocean'), recheck('digitalocean')),
      '  Put a new token into the Secret. It is noticed and checked at once:',
      ...commands(
        `${demoCloud.replace('run', 'run -s')} token digitalocean | ${kubectl} apply --server-side -f -`,
      ),
    ),
    ...simulated(
      'Hetzner',
      '  Break the network to a provider. Nothing flips: an outage says nothing about a token.',
      ...commands(cloud('down Hetzner'), recheck('hetzner'), cloud('up Hetzner')),
    ),
    ...simulated(
      'Linode',
      '  Ask for less: the token that may only look is good enough for ReadOnly.',
      ...commands(`${kubectl} patch cacct read-only --type merge -p '{"spec":{"access":"ReadOnly"}}'`),
    ),
    ...simulated(
      'Vultr',
      '  Allow our address at Vultr, and have it checked now:',
      ...commands(cloud('restore wrong-address'), recheck('wrong-address')),
    ),
    '  Remove an account. Its verified copy goes with it; your Secret stays.',
    ...commands(`${kubectl} delete cacct upcloud`, `${kubectl} get secrets`),
    '  All that the simulated clouds can do (list, revoke, restore, token, down, up, log):',
    ...commands(cloud('help')),
    '',
    `At most 6 checks an hour of an account may end in a refusal; then it says CheckPostponed.`,
    `Log of the operator: ${quote(join(dir, 'operator.log'))}. Ctrl-C ends and removes everything.`,
  ].join('\n');
}

/** The token is read from the terminal: neither a file nor the shell's history keeps it. */
function ownToken(kubectl: string, provider: ProviderName): string[] {
  const name = provider.toLowerCase();
  const create = (secret: string, fields: string) => `${kubectl} create secret generic ${secret} ${fields}`;
  if (provider === 'TransIP') {
    return [
      '  Use a key pair of your own at TransIP (the account waits for it); replace the two values:',
      ...commands(create('transip-key', '--from-literal=login=LOGIN --from-file=privateKey=FILE')),
    ];
  }
  return [
    `  Use a token of your own at ${provider} (the account waits for it): paste it, then Enter, Ctrl-D.`,
    ...commands(create(`${name}-token`, '--from-file=token=/dev/stdin')),
  ];
}

function commands(...lines: string[]): string[] {
  return lines.map(line => `    ${line}`);
}

function indented(lines: readonly string[]): string[] {
  return lines.map(line => `  ${line}`);
}
