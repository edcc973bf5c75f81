import { expect, test } from '@jest/globals';

import { causeOf } from './causes.ts';

test.each([
  ['ENOTFOUND', 'DnsFailure'],
  ['EAI_AGAIN', 'DnsFailure'],
  ['ECONNREFUSED', 'ConnectionRefused'],
  ['EHOSTUNREACH', 'NetworkUnreachable'],
  ['UND_ERR_CONNECT_TIMEOUT', 'ConnectTimeout'],
  ['ETIMEDOUT', 'ConnectTimeout'],
  ['UND_ERR_HEADERS_TIMEOUT', 'AnswerTimeout'],
  ['UND_ERR_BODY_TIMEOUT', 'AnswerTimeout'],
  ['ECONNRESET', 'ConnectionReset'],
  ['UND_ERR_SOCKET', 'ConnectionReset'],
  ['EPIPE', 'ConnectionReset'],
  ['UND_ERR_RES_EXCEEDED_MAX_SIZE', 'OversizedBody'],
  ['Z_BUF_ERROR', 'TruncatedBody'],
  ['HPE_INVALID_CONSTANT', 'MalformedAnswer'],
  ['UNABLE_TO_VERIFY_LEAF_SIGNATURE', 'CertificateNotTrusted'],
  ['DEPTH_ZERO_SELF_SIGNED_CERT', 'CertificateNotTrusted'],
  ['SELF_SIGNED_CERT_IN_CHAIN', 'CertificateNotTrusted'],
  ['CERT_HAS_EXPIRED', 'CertificateExpired'],
  ['CERT_NOT_YET_VALID', 'CertificateNotYetValid'],
  ['ERR_TLS_CERT_ALTNAME_INVALID', 'CertificateWrongName'],
  ['UND_ERR_ABORTED', 'ProxyRefused'],
  ['UND_ERR_PRX_CONN', 'ProxyFailure'],
  ['ERR_SSL_WRONG_VERSION_NUMBER', 'TlsFailure'],
  ['SOMETHING_NEW', 'TransportFailure'],
])('%s is %s, wherever the code stands', (code, cause) => {
  const error = Object.assign(new Error('127.0.0.1:41234'), { code });
  expect(causeOf(error)).toBe(cause);
  expect(causeOf(new Error('outer', { cause: error }))).toBe(cause);
  expect(causeOf(new AggregateError([error], 'outer'))).toBe(cause);
});

test.each([undefined, null, 'text', {}, new Error('text')])('anything else (%p) has a cause too', error => {
  expect(causeOf(error)).toBe('TransportFailure');
});
