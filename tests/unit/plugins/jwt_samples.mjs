// Makes jwt_samples.h with jose (npm), a library that shares nothing with the plugin:
//   npm install jose@6 && node jwt_samples.mjs > jwt_samples.h
import { CompactSign, SignJWT, UnsecuredJWT, exportJWK, generateKeyPair, exportSPKI, importJWK } from 'jose';

const out = [];
const claims = { sub: 'alice', iss: 'https://issuer.example', aud: ['api', 'other'], scope: 'read write', iat: 1700000000,
  exp: 4000000000, admin: false, level: 3, roles: ['a', 'b'], realm_access: { roles: ['x', 'y'] }, 'https://x.example/tenant': 't1' };
const pairs = {};

function put(name, text) {
  const pieces = text.match(/.{1,96}/g).map((piece) => JSON.stringify(piece));
  out.push(`#define ${name} \\\n    ${pieces.join(' \\\n    ')}`);
}

async function pair(kid, alg, options) {
  const { publicKey, privateKey } = await generateKeyPair(alg, { extractable: true, ...options });
  pairs[kid] = { publicKey, privateKey, alg, jwk: { ...(await exportJWK(publicKey)), kid } };
}

const sign = (kid, alg, more = {}, header = {}) =>
  new SignJWT({ ...claims, ...more }).setProtectedHeader({ alg, kid, ...header }).sign(pairs[kid].privateKey);

await pair('rsa', 'RS256');
await pair('rsa-pss', 'PS256');
await pair('ec', 'ES256');
await pair('ed', 'EdDSA', { crv: 'Ed25519' });
await pair('new', 'ES256');
const jwk = (kid, more = {}) => ({ ...pairs[kid].jwk, ...more });
const set = (...keys) => JSON.stringify({ keys });
put('SAMPLE_JWKS', set(jwk('rsa', { use: 'sig' }), jwk('rsa-pss', { alg: 'PS256' }), jwk('ec', { key_ops: ['verify'] }), jwk('ed')));
put('SAMPLE_JWKS_NEW', set(jwk('new')));
put('SAMPLE_RSA', JSON.stringify(jwk('rsa')));
put('SAMPLE_EC', JSON.stringify(jwk('ec')));
put('SAMPLE_RS256', await sign('rsa', 'RS256'));
const pssKey = await importJWK({ ...(await exportJWK(pairs['rsa-pss'].privateKey)) }, 'PS256');
put('SAMPLE_PS256', await new SignJWT(claims).setProtectedHeader({ alg: 'PS256', kid: 'rsa-pss' }).sign(pssKey));
const rsForPss = await importJWK({ ...(await exportJWK(pairs['rsa-pss'].privateKey)) }, 'RS256');
put('SAMPLE_RS256_BY_PSS_KEY', await new SignJWT(claims).setProtectedHeader({ alg: 'RS256', kid: 'rsa-pss' }).sign(rsForPss));
put('SAMPLE_ES256', await sign('ec', 'ES256'));
put('SAMPLE_EDDSA', await sign('ed', 'EdDSA'));
put('SAMPLE_TYPED', await sign('ec', 'ES256', {}, { typ: 'application/AT+jwt' }));
put('SAMPLE_NEW', await sign('new', 'ES256', { sub: 'nina' }));
put('SAMPLE_BOB', await sign('ec', 'ES256', { sub: 'bob', scope: undefined, scp: ['read'], level: undefined }));
put('SAMPLE_EXPIRED', await sign('ec', 'ES256', { exp: 1700000100 }));
put('SAMPLE_FOREVER', await sign('ec', 'ES256', { exp: undefined }));
put('SAMPLE_EARLY', await sign('ec', 'ES256', { nbf: 3900000000 }));
put('SAMPLE_NO_KID', await new SignJWT(claims).setProtectedHeader({ alg: 'ES256' }).sign(pairs.ec.privateKey));
put('SAMPLE_CRIT', await new CompactSign(Buffer.from(JSON.stringify(claims)))
  .setProtectedHeader({ alg: 'ES256', kid: 'ec', crit: ['urn:x'], 'urn:x': 1 }).sign(pairs.ec.privateKey, { crit: { 'urn:x': true } }));
put('SAMPLE_NONE', new UnsecuredJWT(claims).encode());
const secret = '0123456789abcdef0123456789abcdef';
put('SAMPLE_SECRET', secret);
put('SAMPLE_HS256', await new SignJWT(claims).setProtectedHeader({ alg: 'HS256' }).sign(Buffer.from(secret)));
// key confusion: what an attacker signs with the bytes of the public key, as PEM and as its JWK
const pem = await exportSPKI(pairs.rsa.publicKey);
put('SAMPLE_CONFUSED_PEM', await new SignJWT(claims).setProtectedHeader({ alg: 'HS256', kid: 'rsa' }).sign(Buffer.from(pem)));
put('SAMPLE_CONFUSED_N', await new SignJWT(claims).setProtectedHeader({ alg: 'HS256', kid: 'rsa' })
  .sign(Buffer.from(pairs.rsa.jwk.n, 'base64url')));
console.log(`/* Keys and tokens made by jose, see jwt_samples.mjs. The private keys are nowhere. */
#ifndef SHEAF_TESTS_JWT_SAMPLES_H
#define SHEAF_TESTS_JWT_SAMPLES_H

/* clang-format off */
${out.join('\n')}
/* clang-format on */

#endif`);
