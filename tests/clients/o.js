// odata (o.js): OData multipart batches, read by splitting at boundaries and blank lines: node o.js ADDRESS
"use strict";
const assert = require("node:assert");
const run = require("./tests");
const { o } = require("odata");

const handler = (batch) => o(process.argv[2] + "/api/data/v9.2/", { batch });
const plain = {
    boundaryPrefix: "batch_",
    changsetBoundaryPrefix: "changset_",
    endpoint: "$batch",
    headers: new Headers({ "Content-Type": "multipart/mixed" }),
    useChangset: false,
    useRelativeURLs: false,
};

const tests = {
    async "every request has its content id, status and body"() {
        const results = await handler(plain).get("People").get("Trips?a=1").post("People", { name: "x" }).batch();
        assert.deepStrictEqual(results.map(({ contentId, status }) => [contentId, status]), [[1, 200], [2, 200], [3, 200]]);
        assert.deepStrictEqual(results.map(({ body }) => body.method), ["GET", "GET", "POST"]);
        assert.strictEqual(results[1].body.target, "/echo?a=1");
        assert.deepStrictEqual(JSON.parse(results[2].body.body), { name: "x" });
    },

    async "relative urls"() {
        const results = await handler({ ...plain, useRelativeURLs: true }).get("People?b=2").batch();
        assert.strictEqual(results[0].body.target, "/echo?b=2");
    },

    async "a change set is answered as one"() {
        const results = await handler({ ...plain, useChangset: true }).post("People", { n: 1 }).post("People", { n: 2 }).batch();
        assert.deepStrictEqual(results.map(({ status, body }) => [status, JSON.parse(body.body).n]), [[200, 1], [200, 2]]);
    },
};

run(tests, (error) => error.stack || error.status);
