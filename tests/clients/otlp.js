// OpenTelemetry's own messages (otlp-transformer's generated ones), as a collector: what the plugin trace exports is read by
// them, and is the same when they write it again: node otlp.js ADDRESS
"use strict";
const assert = require("node:assert");
const http = require("node:http");
const { opentelemetry } = require("@opentelemetry/otlp-transformer/build/src/generated/root.js");
const run = require("./tests");

const Request = opentelemetry.proto.collector.trace.v1.ExportTraceServiceRequest;
const { SpanKind } = opentelemetry.proto.trace.v1.Span;
const { StatusCode } = opentelemetry.proto.trace.v1.Status;
const IDS = ["traceId", "spanId", "parentSpanId"]; // hex in OTLP's JSON, where protobuf's own has base64
const documents = [];

function mapIds(value, change) {
    if (Array.isArray(value))
        return value.map((each) => mapIds(each, change));
    if (value === null || typeof value !== "object")
        return value;
    return Object.fromEntries(Object.entries(value).map(([name, each]) => [name, IDS.includes(name) ? change(each) : mapIds(each, change)]));
}

// What the messages make of a document, through their bytes and back.
function reread(document) {
    const message = Request.fromObject(mapIds(document, (hex) => Buffer.from(hex, "hex")));
    const read = Request.toObject(Request.decode(Request.encode(message).finish()), { longs: String, enums: Number, bytes: String });
    return mapIds(read, (base64) => Buffer.from(base64, "base64").toString("hex"));
}

const spans = () => documents.flatMap(({ body }) => body.resourceSpans[0].scopeSpans[0].spans);
const attributes = (span) => Object.fromEntries(span.attributes.map(({ key, value }) => [key, value.stringValue ?? value.intValue]));

async function until(condition) {
    for (const end = Date.now() + 20000; !condition(); await new Promise((resolve) => setTimeout(resolve, 5)))
        assert.ok(Date.now() < end, "it did not come true");
}

async function batch(trace, items, headers) {
    const answer = await fetch(process.argv[2] + "/traced", {
        method: "POST", headers: { "content-type": "application/json", traceparent: `00-${trace}-00f067aa0ba902b7-01`, ...headers },
        body: JSON.stringify({ requests: items }),
    });
    assert.strictEqual(answer.status, 207);
    await answer.text();
    const mine = () => spans().filter((span) => span.traceId === trace);
    await until(() => mine().length === items.length + 1);
    return mine();
}

const tests = {
    async "a batch is a span, each item one below it"() {
        const trace = "4bf92f3577b34da6a3ce929d0e0e4736";
        const found = await batch(trace, [{ id: "a", url: "/o/json/1?token=x" }, { id: "b", url: "/o/status/503" }], { tracestate: "k=v" });
        const [outer] = found.filter(({ kind }) => kind === SpanKind.SPAN_KIND_SERVER);
        const inner = found.filter(({ kind }) => kind === SpanKind.SPAN_KIND_CLIENT);
        assert.strictEqual(outer.parentSpanId, "00f067aa0ba902b7");
        assert.deepStrictEqual(inner.map((span) => [span.parentSpanId, attributes(span)["sheaf.item.id"]]).sort(),
            [[outer.spanId, "a"], [outer.spanId, "b"]]);
        assert.strictEqual(attributes(outer)["sheaf.items"], "2");
        for (const span of found) {
            assert.strictEqual(span.traceState, "k=v");
            assert.ok(BigInt(span.startTimeUnixNano) <= BigInt(span.endTimeUnixNano));
            assert.ok(Math.abs(Number(BigInt(span.endTimeUnixNano) / 1000000n) - Date.now()) < 60000);
        }
        const [failed] = inner.filter((span) => attributes(span)["sheaf.item.id"] === "b");
        assert.deepStrictEqual([failed.status.code, attributes(failed)["http.response.status_code"]], [StatusCode.STATUS_CODE_ERROR, "503"]);
    },

    async "texts of every kind survive"() {
        const ids = ['"\\', "é€😀", "a/b c", "\u2028"];
        const found = await batch("5bf92f3577b34da6a3ce929d0e0e4736", ids.map((id) => ({ id, url: "/o/json/2" })), {});
        assert.deepStrictEqual(found.map((span) => attributes(span)["sheaf.item.id"]).filter(Boolean).sort(), [...ids].sort());
    },

    async "a direct request is traced too"() {
        const before = spans().length;
        await (await fetch(process.argv[2] + "/traced/echo")).text();
        await until(() => spans().length >= before + 2);
        const [outer, inner] = [SpanKind.SPAN_KIND_SERVER, SpanKind.SPAN_KIND_CLIENT].map((kind) => spans().slice(before).find((span) => span.kind === kind));
        assert.deepStrictEqual([inner.traceId, inner.parentSpanId], [outer.traceId, outer.spanId]);
    },

    "every document is what the messages make of it"() {
        for (const { body, type, path } of documents) {
            assert.deepStrictEqual([type, path], ["application/json", "/v1/traces"]);
            assert.deepStrictEqual(reread(body), body); // an unknown member, or a value of another type, would be gone or changed
        }
    },

    "ids are hex of their length, numbers of 64 bits are texts, enums are numbers"() {
        for (const span of spans()) {
            assert.match(span.traceId, /^[0-9a-f]{32}$/);
            assert.match(span.spanId, /^[0-9a-f]{16}$/);
            assert.match(span.startTimeUnixNano + span.endTimeUnixNano, /^[0-9]{38}$/);
            assert.strictEqual(typeof span.kind, "number");
        }
    },
};

(async () => {
    const collector = http.createServer(async (request, response) => {
        let text = "";
        for await (const chunk of request)
            text += chunk;
        documents.push({ body: JSON.parse(text), type: request.headers["content-type"], path: request.url });
        response.setHeader("content-type", "application/json").end("{}");
    });
    await new Promise((resolve) => collector.listen(process.env.COLLECTOR_PORT, "127.0.0.1", resolve));
    await run(tests);
    collector.close();
    collector.closeAllConnections();
})();
