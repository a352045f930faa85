// The Microsoft Graph JavaScript SDK on an endpoint with `dialect: graph`: what it sends, and what it makes of our answer.
// Called with the gateway's address: node graph.js http://127.0.0.1:8080
"use strict";
const assert = require("node:assert");
const run = require("./tests");
const { BatchRequestContent, BatchResponseContent, Client } = require("@microsoft/microsoft-graph-client");

const gateway = process.argv[2];
const client = Client.init({
    baseUrl: gateway + "/",
    authProvider: (done) => done(null, "none"), // it gives tokens to https only
});

const step = (id, path, init, dependsOn) => ({ id, dependsOn, request: new Request(gateway + path, init) });
const json = (body) => ({ method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) });

async function post(...steps) {
    const content = await new BatchRequestContent(steps).getContent();
    return new BatchResponseContent(await client.api("/$batch").post(content));
}

const tests = {
    async "every answer is a Response with its status and body"() {
        const answers = await post(step("1", "/o/echo?q=1"), step("2", "/o/text"), step("3", "/o/status/404"),
            step("4", "/o/echo", json({ name: "é", big: 1 })));
        assert.deepStrictEqual([...answers.getResponses().keys()], ["1", "2", "3", "4"]);
        const first = answers.getResponseById("1");
        assert.strictEqual(first.status, 200);
        assert.strictEqual((await first.json()).target, "/echo?q=1");
        const text = answers.getResponseById("2");
        assert.strictEqual(text.status, 200);
        assert.match(await text.text(), /plain "text"/);
        assert.strictEqual(answers.getResponseById("3").status, 404);
        const created = await answers.getResponseById("4").json();
        assert.strictEqual(created.method, "POST");
        assert.strictEqual(Buffer.from(created.body, "latin1").toString(), '{"name":"é","big":1}');
    },

    async "a 204 has no body, or Response would throw"() {
        const answers = await post(step("1", "/o/status/204", { method: "DELETE" }), step("2", "/o/text"));
        assert.strictEqual(answers.getResponseById("1").status, 204);
        assert.strictEqual(answers.getResponseById("1").body, null);
        assert.strictEqual(answers.getResponseById("2").status, 200);
    },

    async "the gateway's own problems are plain JSON to it"() {
        const answers = await post(step("1", "/nowhere"), step("2", "/o/drop"));
        for (const [id, status, slug] of [["1", 404, "no-route"], ["2", 502, "reset"]]) {
            const answer = answers.getResponseById(id);
            assert.strictEqual(answer.status, status);
            assert.strictEqual(answer.headers.get("content-type"), "application/json");
            assert.strictEqual((await answer.json()).type, "urn:sheaf:problem:" + slug);
        }
    },

    async "serial dependencies run one after another, and a failed one is 424"() {
        const answers = await post(step("1", "/o/text"), step("2", "/o/status/500", {}, ["1"]),
            step("3", "/o/text", {}, ["2"]));
        assert.deepStrictEqual([...answers.getResponses().values()].map((answer) => answer.status), [200, 500, 424]);
        assert.strictEqual((await answers.getResponseById("3").json()).type, "urn:sheaf:problem:dependency-failed");
    },

    async "a header of the batch reaches every item"() {
        const content = await new BatchRequestContent([step("1", "/o/echo"), step("2", "/o/echo")]).getContent();
        const answers = new BatchResponseContent(await client.api("/$batch").header("X-Tenant", "7").post(content));
        for (const answer of answers.getResponses().values())
            assert.strictEqual(new Map((await answer.json()).headers).get("x-tenant"), "7");
    },

    async "twenty items, its limit"() {
        const steps = Array.from({ length: 20 }, (_, i) => step(String(i), "/o/echo?n=" + i));
        const answers = await post(...steps);
        for (let i = 0; i < 20; i++)
            assert.strictEqual((await answers.getResponseById(String(i)).json()).target, "/echo?n=" + i);
    },

    async "a batch that is refused is a GraphError with the status"() {
        await assert.rejects(client.api("/$batch").post({ requests: [{ id: "1" }] }),
            (error) => error.statusCode === 400);
    },
};

run(tests);
