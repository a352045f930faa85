// dynamics-web-api (Microsoft Dataverse): OData multipart batches, with and without a change set: node dynamics.js ADDRESS
"use strict";
const assert = require("node:assert");
const run = require("./tests");
const { DynamicsWebApi } = require("dynamics-web-api");

const api = new DynamicsWebApi({ serverUrl: process.argv[2], dataApi: { version: "9.2" } });

const tests = {
    async "reads of a batch are answered in order"() {
        api.startBatch();
        api.retrieveMultiple({ collection: "contacts", select: ["fullname"] });
        api.retrieveMultiple({ collection: "accounts", select: ["name"] });
        const results = await api.executeBatch();
        assert.strictEqual(results.length, 2);
        assert.strictEqual(results[0].method, "GET");
        assert.strictEqual(results[0].target, "/echo?$select=fullname");
        assert.strictEqual(results[1].target, "/echo?$select=name");
    },

    async "writes in a change set are answered in order"() {
        api.startBatch();
        api.create({ collection: "contacts", data: { firstname: "É", n: 1 }, returnRepresentation: true });
        api.create({ collection: "contacts", data: { firstname: "B" }, returnRepresentation: true });
        const results = await api.executeBatch();
        assert.strictEqual(results.length, 2);
        assert.deepStrictEqual(results.map((result) => result.method), ["POST", "POST"]);
        assert.deepStrictEqual(JSON.parse(Buffer.from(results[0].body, "latin1").toString()), { firstname: "É", n: 1 });
        assert.deepStrictEqual(JSON.parse(results[1].body), { firstname: "B" });
    },

    async "writes without a change set, and a read between them"() {
        api.startBatch();
        api.create({ collection: "contacts", data: { firstname: "A" }, returnRepresentation: true, inChangeSet: false });
        api.retrieveMultiple({ collection: "contacts" });
        const results = await api.executeBatch();
        assert.deepStrictEqual(results.map((result) => result.method), ["POST", "GET"]);
    },
};

run(tests, (error) => error.stack || JSON.stringify(error));
