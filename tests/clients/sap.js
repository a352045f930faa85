// @sap-cloud-sdk/odata-v4: OData multipart batches with and without a change set, as SAP's generated clients send them: node sap.js ADDRESS
"use strict";
const assert = require("node:assert");
const run = require("./tests");
const { BatchChangeSet, CreateRequestBuilder, Entity, GetAllRequestBuilder, GetByKeyRequestBuilder, ODataBatchRequestBuilder,
    UpdateRequestBuilder, defaultDeSerializers, entityBuilder } = require("@sap-cloud-sdk/odata-v4");
const { EdmTypeField } = require("@sap-cloud-sdk/odata-common");
const { setGlobalLogLevel } = require("@sap-cloud-sdk/util");

setGlobalLogLevel("error"); // it would say that echoes are no entities

const SERVICE = "/sap/people";
const destination = { url: process.argv[2] };

/* What its generator writes for an entity set with the fields ID and Name. */
function entityApi(set) {
    class Thing extends Entity {}
    Object.assign(Thing, { _entityName: set, _defaultBasePath: SERVICE, _keys: ["ID"] });
    const api = { deSerializers: defaultDeSerializers, entityConstructor: Thing };
    api.schema = {
        ID: new EdmTypeField("ID", api, "Edm.Int32", false, true),
        NAME: new EdmTypeField("Name", api, "Edm.String", true, true),
    };
    return api;
}

const people = entityApi("People"), ghosts = entityApi("Ghosts");
const person = (fields) => entityBuilder(people).fromJson(fields);
const byKey = (api, id) => new GetByKeyRequestBuilder(api, { ID: id });
const batch = (...requests) => new ODataBatchRequestBuilder(SERVICE, requests);

const statuses = (results) => results.map(({ httpCode }) => httpCode);
/* What the backend was asked: it answers with the request as it came. */
const asked = ({ body }) => [body.method, body.target];
const sent = ({ body }) => JSON.parse(Buffer.from(body.body, "latin1").toString());

function update(id, name) {
    const changed = person({ id, name: "before" }).setOrInitializeRemoteState();
    changed.name = name;
    return new UpdateRequestBuilder(people, changed);
}

const tests = {
    async "reads are answered in order, one that fails in its place"() {
        const results = await batch(new GetAllRequestBuilder(people).top(3), byKey(ghosts, 4), byKey(people, 7))
            .addCustomHeaders({ prefer: "odata.continue-on-error" }).execute(destination);
        assert.deepStrictEqual(statuses(results), [200, 404, 200]);
        assert.deepStrictEqual(results.map((result) => result.isSuccess()), [true, false, true]);
        assert.deepStrictEqual(asked(results[0]), ["GET", "/echo/People?$top=3"]);
        assert.deepStrictEqual(asked(results[2]), ["GET", "/echo/People(ID=7)"]);
    },

    async "what stands behind a failed read is not processed unless the client wants it"() {
        const results = await batch(byKey(people, 1), byKey(ghosts, 4), byKey(people, 7)).execute(destination);
        assert.deepStrictEqual(statuses(results), [200, 404]);
        assert.deepStrictEqual(asked(results[0]), ["GET", "/echo/People(ID=1)"]);
    },

    async "a failure of the gateway reads as one of a service: its problem is the body"() {
        const [result] = await batch(byKey(entityApi("Locks"), 1)).execute(destination);
        assert.ok(result.isError());
        assert.strictEqual(result.httpCode, 405);
        assert.strictEqual(result.body.type, "urn:sheaf:problem:item-method-not-allowed");
    },

    async "the writes of a change set are answered together, with what they wrote"() {
        const set = new BatchChangeSet([
            new CreateRequestBuilder(people, person({ id: 1, name: "É" })),
            update(7, "after"),
        ]);
        const [written] = await batch(set).execute(destination);
        assert.ok(written.isWriteResponses());
        assert.deepStrictEqual(statuses(written.responses), [200, 200]);
        assert.deepStrictEqual(written.responses.map(asked), [["POST", "/echo/People"], ["PATCH", "/echo/People(ID=7)"]]);
        assert.deepStrictEqual(written.responses.map(sent), [{ ID: 1, Name: "É" }, { Name: "after" }]);
    },

    // not relativeToEntity: `/People` is a path of the host, and nothing is routed there
    async "reads around a change set, with paths of the host, relative ones and whole urls"() {
        for (const type of ["relativeToService", "noPath", "absolute"]) {
            const set = new BatchChangeSet([update(1, "a"), update(2, "b")]);
            const results = await batch(byKey(people, 7), set, byKey(people, 8)).withSubRequestPathType(type).execute(destination);
            assert.deepStrictEqual(asked(results[0]), ["GET", "/echo/People(ID=7)"], type);
            assert.deepStrictEqual(results[1].responses.map(asked), [["PATCH", "/echo/People(ID=1)"], ["PATCH", "/echo/People(ID=2)"]], type);
            assert.deepStrictEqual(asked(results[2]), ["GET", "/echo/People(ID=8)"], type);
        }
    },

    async "a change set answers with the content ids of its requests"() {
        const create = new CreateRequestBuilder(people, person({ id: 1 })), change = update(7, "after");
        change.setBatchId("the change");
        const { data } = await batch(new BatchChangeSet([create, change])).executeRaw(destination);
        assert.deepStrictEqual(data.match(/^Content-ID: .*$/gm), [create, change].map((request) => `Content-ID: ${request.getBatchReference().id}`));
    },
};

run(tests, (error) => `${error.stack}${error.rootCause ? `\n${error.rootCause.stack}` : ""}`);
