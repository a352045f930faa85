// jose (jwt.js), as an issuer: fresh keys each run, served as JWKS; its tokens against the plugin jwt: node jwt.js ADDRESS
"use strict";
const assert = require("node:assert");
const http = require("node:http");
const jose = require("jose");
const run = require("./tests");

const ALGS = ["RS256", "PS256", "ES256", "EdDSA"];
const pairs = {};
let jwks = { keys: [] };

async function addKey(kid, alg, options) {
    const pair = await jose.generateKeyPair(alg, { crv: "Ed25519", ...options });
    pairs[kid] = { ...pair, alg };
    jwks.keys.push({ ...(await jose.exportJWK(pair.publicKey)), kid, alg, use: "sig" });
}

function sign(kid, claims, header, change = (token) => token) {
    return change(new jose.SignJWT({ scope: "read", ...claims }).setProtectedHeader({ alg: pairs[kid].alg, kid, typ: "at+jwt", ...header })
        .setIssuedAt().setIssuer("https://issuer.example").setAudience("api").setExpirationTime("5m")).sign(pairs[kid].privateKey);
}

const ask = async (tokens) => {
    const items = tokens.map((token, i) => ({ id: `${i}`, url: "/jwt/x", headers: { authorization: `Bearer ${token}` } }));
    const answer = await fetch(process.argv[2] + "/batch", {
        method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify({ requests: items }),
    });
    assert.strictEqual(answer.status, 207);
    return (await answer.json()).responses;
};
const direct = (token) => fetch(process.argv[2] + "/jwt/x", { headers: { authorization: `Bearer ${token}` } });
const statuses = (results) => results.map(({ status }) => status);
const userOf = ({ body }) => new Map(body.headers).get("x-user");

async function until(condition) {
    for (const end = Date.now() + 20000; !(await condition());)
        assert.ok(Date.now() < end, "it did not come true");
}

const tests = {
    async "tokens of every algorithm pass, each as its own bearer"() {
        await until(async () => (await direct(await sign("ES256", { sub: "first" }))).status === 200);
        for (const kid of ALGS) {
            const names = Array.from({ length: 20 }, (_, i) => `${kid}-${i}`);
            const results = await ask(await Promise.all(names.map((sub) => sign(kid, { sub }))));
            assert.deepStrictEqual(results.map(userOf), names);
            assert.strictEqual((await direct(await sign(kid, { sub: "x" }))).status, 200);
        }
    },

    async "claims are kept to"() {
        const bad = await Promise.all([
            sign("ES256", { sub: "x" }, {}, (token) => token.setIssuer("https://other.example")),
            sign("ES256", { sub: "x" }, {}, (token) => token.setAudience(["web", "apis"])),
            sign("ES256", { sub: "x" }, {}, (token) => token.setExpirationTime("-5m")),
            sign("ES256", { sub: "x" }, {}, (token) => token.setNotBefore("5m")),
        ]);
        assert.deepStrictEqual(statuses(await ask(bad)), [401, 401, 401, 401]);
        assert.deepStrictEqual(statuses(await ask([await sign("ES256", { sub: "x" }, {}, (token) => token.setAudience(["web", "api"]))])), [200]);
    },

    async "what was not signed by a key of the set is refused"() {
        const good = await sign("RS256", { sub: "x" });
        const [head, claims, signature] = good.split(".");
        const spki = Buffer.from(await jose.exportSPKI(pairs.RS256.publicKey));
        const other = await jose.generateKeyPair("ES256");
        const forged = [
            new jose.UnsecuredJWT({ sub: "x" }).setExpirationTime("5m").encode(),
            await new jose.SignJWT({ sub: "x" }).setProtectedHeader({ alg: "HS256", kid: "RS256" }).setExpirationTime("5m").sign(spki),
            await new jose.SignJWT({ sub: "x" }).setProtectedHeader({ alg: "ES256", kid: "ES256" }).setExpirationTime("5m").sign(other.privateKey),
            await new jose.SignJWT({ sub: "x" }).setProtectedHeader({ alg: "ES256", jwk: await jose.exportJWK(other.publicKey) })
                .setExpirationTime("5m").sign(other.privateKey),
            `${head}.${jose.base64url.encode(JSON.stringify({ sub: "root", exp: 4e9 }))}.${signature}`,
            `${jose.base64url.encode(JSON.stringify({ alg: "none" }))}.${claims}.`,
            await new jose.EncryptJWT({ sub: "x" }).setProtectedHeader({ alg: "dir", enc: "A256GCM" }).encrypt(Buffer.alloc(32, 1)),
        ];
        assert.deepStrictEqual(statuses(await ask([...forged, good])), [...forged.map(() => 401), 200]);
        for (const token of forged)
            assert.strictEqual((await direct(token)).status, 401);
    },

    async "a refusal says why, as RFC 6750 has it"() {
        const answer = await direct("x");
        assert.match(answer.headers.get("www-authenticate"), /^Bearer realm="sheaf", error="invalid_token", error_description="[^"]+"$/);
        assert.strictEqual(answer.headers.get("content-type"), "application/problem+json");
    },

    async "a new key is found, an old one forgotten"() {
        const old = await sign("ES256", { sub: "x" });
        jwks = { keys: jwks.keys.filter(({ kid }) => kid !== "ES256") };
        await addKey("next", "ES256");
        await until(async () => (await direct(await sign("next", { sub: "y" }))).status === 200);
        assert.strictEqual((await direct(old)).status, 401);
    },
};

(async () => {
    for (const alg of ALGS)
        await addKey(alg, alg);
    const issuer = http.createServer((request, response) => response.end(JSON.stringify(jwks)));
    await new Promise((resolve) => issuer.listen(process.env.ISSUER_PORT, "127.0.0.1", resolve));
    await run(tests);
    issuer.close();
    issuer.closeAllConnections();
})();
