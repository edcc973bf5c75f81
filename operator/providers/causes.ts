/**
 * Error codes of undici, node:net, node:dns, node:tls, llhttp and zlib, and the stable cause that a user sees. Texts of
 * errors name ports and addresses of our own connections and would change with every attempt.
 */
const CAUSES: readonly (readonly [code: RegExp, cause: string])[] = [
  [/^(ENOTFOUND|EAI_AGAIN|EAI_FAIL|ENODATA|ESERVFAIL|EREFUSED)$/, 'DnsFailure'],
  // undici wraps what happens on the way to and through a proxy.
  [/^UND_ERR_PRX_TLS$/, 'ProxyFailure'],
  [/^UND_ERR_PRX_CONN$/, 'ProxyFailure'],
  // "Proxy response (…) !== 200": calls that we break off ourselves never come here.
  [/^UND_ERR_ABORTED$/, 'ProxyRefused'],
  [/^ECONNREFUSED$/, 'ConnectionRefused'],
  [/^(ENETUNREACH|EHOSTUNREACH|EADDRNOTAVAIL|EACCES|EPERM)$/, 'NetworkUnreachable'],
  [/^(UND_ERR_CONNECT_TIMEOUT|ETIMEDOUT)$/, 'ConnectTimeout'],
  [/^UND_ERR_HEADERS_TIMEOUT$/, 'AnswerTimeout'],
  [/^UND_ERR_BODY_TIMEOUT$/, 'AnswerTimeout'],
  [/^(ECONNRESET|EPIPE|ECONNABORTED|UND_ERR_SOCKET|UND_ERR_CLOSED|UND_ERR_DESTROYED)$/, 'ConnectionReset'],
  [/^UND_ERR_RES_EXCEEDED_MAX_SIZE$/, 'OversizedBody'],
  [/^ERR_BUFFER_TOO_LARGE$/, 'OversizedBody'],
  [/^UND_ERR_RES_CONTENT_LENGTH_MISMATCH$/, 'TruncatedBody'],
  [/^HPE_INVALID_EOF_STATE$/, 'TruncatedBody'],
  [/^(Z_BUF_ERROR|Z_DATA_ERROR|ERR__ERROR_.*|ERR_BROTLI_.*|ERR_.*BROTLI.*)$/, 'TruncatedBody'],
  [/^CAO_UNKNOWN_CODING$/, 'UnknownContentCoding'],
  [/^(HPE_.*|UND_ERR_HEADERS_OVERFLOW|UND_ERR_RESPONSE.*)$/, 'MalformedAnswer'],
  // Codes of OpenSSL's verification (nodejs.org/api/tls.html "X509 certificate error codes").
  [/^CERT_HAS_EXPIRED$/, 'CertificateExpired'],
  [/^CERT_NOT_YET_VALID$/, 'CertificateNotYetValid'],
  [/^ERR_TLS_CERT_ALTNAME_INVALID$/, 'CertificateWrongName'],
  [
    /^(UNABLE_TO_GET_ISSUER_CERT.*|UNABLE_TO_VERIFY_.*|DEPTH_ZERO_.*|SELF_SIGNED_.*|CERT_UNTRUSTED|CERT_REVOKED|CERT_REJECTED|CERT_CHAIN_TOO_LONG|INVALID_CA)$/,
    'CertificateNotTrusted',
  ],
  [
    /^(CERT_.*|ERR_TLS_.*|ERR_SSL_.*|EPROTO|UNABLE_TO_.*|DEPTH_ZERO_.*|SELF_SIGNED_.*|.*_CERT_.*)$/,
    'TlsFailure',
  ],
];

/** A short stable code for why a call got no answer. */
export function causeOf(error: unknown): string {
  const codes = errorCodes(error);
  for (const [pattern, cause] of CAUSES) {
    if (codes.some(code => pattern.test(code))) return cause;
  }
  return 'TransportFailure';
}

/** Codes of an error and of what it wraps (`cause`, and the attempts of an AggregateError on several addresses). */
function errorCodes(error: unknown, depth = 0): string[] {
  if (typeof error !== 'object' || error === null || depth > 3) return [];
  const { name, code, cause, errors } = error as Partial<
    Record<'name' | 'code' | 'cause' | 'errors', unknown>
  >;
  const attempts = Array.isArray(errors) ? (errors as unknown[]) : [];
  return [
    ...(typeof code === 'string' ? [code] : []),
    // Some errors of undici's parser have no code.
    ...(name === 'HTTPParserError' ? ['HPE_'] : []),
    ...[cause, ...attempts].flatMap(inner => errorCodes(inner, depth + 1)),
  ];
}
