import type { Access } from '../api/names.ts';
import type { Permissions } from '../domain/outcome.ts';

/**
 * Scopes that listing, and ordering and managing servers, ask for: `security` of each path in digitalocean/openapi.
 * Widening these demotes accounts that work.
 */
const NEEDED: Record<Access, readonly string[]> = {
  ReadOnly: ['droplet:read'],
  ReadWrite: [
    'droplet:read',
    'droplet:create',
    'droplet:update',
    'droplet:delete',
    'ssh_key:read',
    'ssh_key:create',
    'tag:read',
    'tag:create',
  ],
};

/** What rebuilding a server asks for beside them (digitalocean/openapi resources/droplets/dropletActions_post.yml). */
export const REBUILD_SCOPE = 'droplet:admin';

/** Full access, from before custom scopes and since (docs reference/api/scopes: "Perform read operations via the API"). */
const ALL_READING = ['read', 'api:read'];
const ALL_WRITING = ['write', 'api:write'];

/** Resources and what may be done with them, as docs reference/api/scopes lists them (August 2025). */
const RESOURCES =
  'account actions addon app billing block_storage block_storage_action block_storage_snapshot cdn certificate ' +
  'database domain droplet firewall function functions genai image kubernetes load_balancer monitoring ' +
  'partner_network_connect project regions registry reserved_ip sizes snapshot spaces spaces_key spaces_keys ' +
  'ssh_key tag uptime vendor_portal vpc vpc_peering';
const DEEDS =
  'read create update delete admin access_cluster access_console view_credentials create_credentials';
const KNOWN = new RegExp(`^(?:${either(RESOURCES)}):(?:${either(DEEDS)})$`);

/**
 * Judges the scopes that the token's information lists. Information of another form, or a list without any scope that
 * is known, tells nothing. `Sufficient` may miss what rebuilding alone needs.
 */
export function judgeScopes(access: Access, scopes: unknown): Permissions {
  if (!Array.isArray(scopes) || !scopes.every(scope => typeof scope === 'string') || !scopes.some(isKnown)) {
    return { state: 'Unknown', missing: [] };
  }
  const lacks = (needed: string): boolean => !grants(scopes, needed);
  const missing = NEEDED[access].filter(lacks).sort();
  if (missing.length > 0) return { state: 'Missing', missing };
  return { state: 'Sufficient', missing: access === 'ReadWrite' ? [REBUILD_SCOPE].filter(lacks) : [] };
}

/** Whether the list names the right to read the account, so that a refusal to tell it is not the API's. */
export function readsAccount(scopes: unknown): boolean {
  return (
    Array.isArray(scopes) && scopes.some(scope => [...ALL_READING, 'account:read'].includes(scope as string))
  );
}

function isKnown(scope: string): boolean {
  return ALL_READING.includes(scope) || ALL_WRITING.includes(scope) || KNOWN.test(scope);
}

function grants(scopes: readonly string[], needed: string): boolean {
  const all = needed.endsWith(':read') ? ALL_READING : ALL_WRITING;
  return scopes.some(scope => scope === needed || all.includes(scope));
}

function either(names: string): string {
  return names.replaceAll(' ', '|');
}
