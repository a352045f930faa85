// jose (jwt.js), as an issuer: fresh keys each run, served as JWKS; its tokens against the plugin jwt: node jwt.js ADDRESS
"use strict";
const assert = require("node:assert");
const crypto = require("node:crypto");
const http = require("node:http");
const jose = require("jose");
const run = require("./tests");

const ALGS = ["RS256", "PS256", "ES256", "EdDSA"];
const pairs = {};
let jwks = { keys: [] };
let fetched = 0;

async function addKey(kid, alg, options) {
    const pair = await jose.generateKeyPair(alg, { crv: "Ed25519", ...options });
    pairs[kid] = { ...pair, alg };
    jwks.keys.push({ ...(await jose.exportJWK(pair.publicKey)), kid, alg, use: "sig" });
}

function sign(kid, claims, header, change = (token) => token) {
    return change(new jose.SignJWT({ scope: "read", ...claims }).setProtectedHeader({ alg: pairs[kid].alg, kid, typ: "at+jwt", ...header })
        .setIssuedAt().setIssuer("https://issuer.example").setAudience("api").setExpirationTime("5m")).sign(pairs[kid].privateKey);
}

// A token of any header and claims, as texts, that the key ES256 signed.
function raw(head, claims) {
    const input = [head, claims].map((part) => jose.base64url.encode(part)).join(".");
    const key = { key: pairs.ES256.privateKey, dsaEncoding: "ieee-p1363" };
    return `${input}.${crypto.sign("sha256", Buffer.from(input), key).toString("base64url")}`;
}

const soon = () => Math.floor(Date.now() / 1000) + 300;
const HEAD = '{"alg":"ES256","kid":"ES256"}';
const claimed = (more) => JSON.stringify({ iss: "https://issuer.example", aud: "api", sub: "x", exp: soon(), ...more });

const ask = async (tokens, url = "/jwt/x") => {
    const items = tokens.map((token, i) => ({ id: `${i}`, url, headers: { authorization: `Bearer ${token}` } }));
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

    async "a header says nothing but which key and how"() {
        const other = await jose.generateKeyPair("ES256");
        const jwk = await jose.exportJWK(other.publicKey);
        const evil = { alg: "ES256", jwk, jku: "http://127.0.0.1:9/keys", x5u: "http://127.0.0.1:9/x", x5c: ["AAAA"] };
        const bad = [
            '{"alg":"none"}', '{"alg":"None","kid":"ES256"}', '{"alg":"nOnE"}', '{"alg":""}', '{"kid":"ES256"}', '{"alg":null}', '{"alg":["ES256"]}',
            '{"alg":"ES384","kid":"ES256"}', '{"alg":"es256","kid":"ES256"}', '{"alg":"RS256","kid":"ES256"}', '{"alg":"ES256","kid":"RS256"}',
            '{"alg":"ES256","kid":"ES256","alg":"ES256"}', '{"alg":"none","alg":"ES256"}', '{"alg":"ES256","kid":"ES256","kid":"RS256"}',
            '{"alg":"ES256","kid":"ES256","crit":["exp"],"exp":1}', '{"alg":"ES256","kid":"ES256","crit":[]}', '{"alg":"ES256","kid":"ES256","b64":false}',
            '{"alg":"ES256","kid":"../../dev/null"}', '{"alg":"ES256","kid":"ES256\\u0000"}', '{"alg":"ES256","kid":"x\' OR 1=1"}', '{"alg":"ES256","kid":7}',
            '{"alg":"ES256","kid":{"$ne":""}}', `{"alg":"ES256","kid":"${"k".repeat(4000)}"}`, '["ES256"]', '"ES256"', "{}", "",
            `{"alg":"ES256","kid":"ES256","x":${"[".repeat(20)}${"]".repeat(20)}}`,
        ].map((head) => raw(head, claimed()));
        bad.push(await new jose.SignJWT(JSON.parse(claimed())).setProtectedHeader(evil).sign(other.privateKey));
        bad.push(await new jose.SignJWT(JSON.parse(claimed())).setProtectedHeader({ ...evil, kid: "ES256" }).sign(other.privateKey));
        const results = await ask(bad);
        assert.deepStrictEqual(results.map(({ status }, i) => [status, bad[i]]), bad.map((token) => [401, token]));
        assert.deepStrictEqual(statuses(await ask([raw(JSON.stringify({ ...evil, kid: "ES256" }), claimed()), raw(HEAD, claimed())])), [200, 200]);
    },

    async "no public key is a secret"() {
        for (const kid of ["RS256", "ES256"]) {
            const key = pairs[kid].publicKey;
            const secrets = [await jose.exportSPKI(key), (await jose.exportSPKI(key)).trim(), JSON.stringify(await jose.exportJWK(key)),
                JSON.stringify(jwks.keys.find((each) => each.kid === kid)), JSON.stringify(jwks), kid, ""];
            const tokens = secrets.flatMap((secret) => [{ alg: "HS256" }, { alg: "HS256", kid }].map((head) => {
                const input = [JSON.stringify(head), claimed()].map((part) => jose.base64url.encode(part)).join(".");
                return `${input}.${crypto.createHmac("sha256", secret).update(input).digest("base64url")}`;
            }));
            for (const url of ["/jwt/x", "/hs256/x"])
                assert.deepStrictEqual(statuses(await ask(tokens, url)), tokens.map(() => 401));
        }
    },

    async "a secret is one where it was given as one"() {
        const secret = Buffer.from(process.env.SECRET);
        const token = (key) => new jose.SignJWT({ sub: "x" }).setProtectedHeader({ alg: "HS256" }).setExpirationTime("5m").sign(key);
        assert.deepStrictEqual(statuses(await ask([await token(secret), await token(Buffer.alloc(32, 1)), await sign("ES256", {})], "/hs256/x")), [200, 401, 401]);
        assert.deepStrictEqual(statuses(await ask([await token(secret)])), [401]);
    },

    async "time is kept to, within the leeway"() {
        const now = Math.floor(Date.now() / 1000);
        const good = [{ exp: now - 20 }, { nbf: now + 20 }, { iat: now + 20 }, { exp: now + 0.5 }, { exp: 4e9 }, { nbf: 0 }];
        const bad = [{ exp: now - 31 }, { nbf: now + 40 }, { exp: undefined }, { exp: null }, { exp: `${now + 300}` }, { exp: 0 }, { exp: -1 },
            { exp: [now + 300] }, { exp: true }, { nbf: "0" }, { nbf: 1e300 }, { iat: now + 400 }];
        assert.deepStrictEqual(statuses(await ask(good.map((claims) => raw(HEAD, claimed(claims))))), good.map(() => 200));
        const results = await ask(bad.map((claims) => raw(HEAD, claimed(claims))));
        assert.deepStrictEqual(results.map(({ status }, i) => [status, bad[i]]), bad.map((claims) => [401, claims]));
    },

    async "issuer and audience are whole texts"() {
        const good = [{ aud: ["api"] }, { aud: ["web", "api"] }];
        const bad = [{ aud: undefined }, { aud: [] }, { aud: "API" }, { aud: "api " }, { aud: [["api"]] }, { aud: { api: 1 } }, { aud: ["web", 7] }, { aud: "web api" },
            { iss: undefined }, { iss: ["https://issuer.example"] }, { iss: "https://issuer.example/" }, { iss: "https://issuer.example.evil" }];
        assert.deepStrictEqual(statuses(await ask(good.map((claims) => raw(HEAD, claimed(claims))))), good.map(() => 200));
        const results = await ask(bad.map((claims) => raw(HEAD, claimed(claims))));
        assert.deepStrictEqual(results.map(({ status }, i) => [status, bad[i]]), bad.map((claims) => [401, claims]));
    },

    async "claims stand once, and are no header of their own"() {
        const twice = ['{"sub":"x","sub":"root","exp":EXP,"iss":"https://issuer.example","aud":"api"}', '{"exp":1,"exp":EXP,"iss":"https://issuer.example","aud":"api"}',
            '{"exp":EXP,"iss":"https://issuer.example","aud":"web","aud":"api"}'].map((text) => raw(HEAD, text.replace("EXP", soon())));
        assert.deepStrictEqual(statuses(await ask(twice)), [401, 401, 401]);
        const odd = ["a\r\nx-admin: 1", "\u0000", { name: "root" }, 7, "é", "a".repeat(5000)];
        const results = await ask(odd.map((sub) => raw(HEAD, claimed({ sub }))));
        for (const result of results)
            if (result.status === 200)
                assert.ok(!new Map(result.body.headers).has("x-admin") && !/[\r\n\0]/.test(userOf(result) ?? ""), JSON.stringify(result.body));
    },

    async "a token has one spelling"() {
        const token = await sign("ES256", { sub: "x" });
        const [head, claims, signature] = token.split(".");
        const der = crypto.sign("sha256", Buffer.from(`${head}.${claims}`), { key: pairs.ES256.privateKey, dsaEncoding: "der" }).toString("base64url");
        const last = signature.at(-1);
        const other = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
        const bad = [`${token}=`, `${token}==`, `${head}.${claims}.${der}`, `${head}.${claims}.`, `${head}.${claims}`, `${token}.${signature}`, `${head}=.${claims}.${signature}`,
            `${head}.${claims}.${signature.slice(0, -1)}${other[other.indexOf(last) ^ 1]}`, token.replace(/.$/, "*"), `${head}..${signature}`, `.${claims}.${signature}`,
            `${head}.${claims}.${"A".repeat(86)}`, `${token}${"A".repeat(9000)}`, JSON.stringify({ protected: head, payload: claims, signature })];
        const results = await ask(bad);
        assert.deepStrictEqual(results.map(({ status }, i) => [status, bad[i]]), bad.map((each) => [401, each]));
        assert.deepStrictEqual(statuses(await ask([await new jose.SignJWT({ exp: 4e9 }).setProtectedHeader({ alg: "ES256", kid: "ES256", cty: "JWT" }).sign(pairs.ES256.privateKey)])), [401]);
    },

    async "unknown keys do not have the issuer asked for each"() {
        const before = fetched, begun = Date.now();
        for (let round = 0; round < 3; round++)
            assert.deepStrictEqual(new Set(statuses(await ask(Array.from({ length: 100 }, (_, i) => raw(`{"alg":"ES256","kid":"k${round}-${i}"}`, claimed()))))), new Set([401]));
        assert.ok(fetched - before <= 1 + (Date.now() - begun) / 1000, `${fetched - before} times`);
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
    const issuer = http.createServer((request, response) => {
        fetched++;
        response.end(JSON.stringify(jwks));
    });
    await new Promise((resolve) => issuer.listen(process.env.ISSUER_PORT, "127.0.0.1", resolve));
    await run(tests);
    issuer.close();
    issuer.closeAllConnections();
})();
