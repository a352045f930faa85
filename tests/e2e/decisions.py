"""One table for every policy and plugin: a request is decided alike however it is asked.

A Row is a route of its own with plugins (or other keys of a route), and a request to it. It is asked five ways: directly, as an
item of a batch with the headers on the item, as one that inherits them from the batch (where they are of that kind), as an
element of a bulk and as a part of an aggregate. All must get the same status, the backend must see the same, and the answer must say the same.
"""
import json
import pathlib
import tempfile

from harness import Case

OWN, INHERITED, DIRECT, BULK, PART = "item", "inheriting item", "direct", "bulk element", "part of an aggregate"


class Row:
    """What is asked of a route with `plugins`, and what has to come of it.

    plugins   the list of the route, as YAML; `keys`: other keys of the route
    headers   of the request; names and values, `client`: the address that a trusted proxy tells
    status    of the answer; 200 is that of the backend's /echo
    sees      {header: what the backend sees of it; None: nothing}
    says      {header: what the answer has of it; None: nothing}
    problem   slug of the problem that the answer is
    inherits  whether the headers are of those that an item inherits (Authorization, Accept-Language, ...)
    path      behind the route's prefix
    """

    def __init__(self, name, plugins="", status=200, headers=None, client=None, sees=None, says=None, problem=None, keys="",
                 inherits=False, method="GET", path="/echo", body=None):
        self.name, self.plugins, self.status, self.client, self.problem = name, plugins, status, client, problem
        self.headers, self.sees, self.says = headers or {}, sees or {}, says or {}
        self.keys, self.inherits, self.method, self.path, self.body = keys, inherits, method, path, body

    def route(self, prefix):
        plugins = f", plugins: [{self.plugins}]" if self.plugins else ""
        return f'- {{match: "{prefix}/{{rest...}}", rewrite: "/{{rest...}}", upstream: origin{plugins}{self.keys}}}'

    def endpoints(self, prefix):
        """A bulk each of whose elements is this request, and an aggregate a part of which it is."""
        each = {"method": self.method, "url": prefix + self.path, "headers": self.headers}
        if self.body is not None:
            each["body"] = self.body
        part = json.dumps({"id": "part", **each})
        return (f"- {{path: /bulk{prefix}, kind: bulk, each: {json.dumps(each)}}}\n"
                f"- {{path: /aggregate{prefix}, kind: aggregate, items: [{part}]}}")


class Got:
    """What came of it, however it was asked."""

    def __init__(self, status, headers, body):
        self.status, self.headers, self.body = status, headers, body

    def seen(self, name):
        values = [value for field, value in self.body["headers"] if field == name]
        return ", ".join(values) if values else None


class Decisions(Case):
    """ROWS of a subclass, on one gateway; its FILES, {name: text}, lie where @DIR@ stands."""
    ROWS, FILES, more = [], {}, {}

    @classmethod
    def setUpClass(cls):
        folder = tempfile.TemporaryDirectory(prefix="sheaf-e2e-")
        cls.addClassCleanup(folder.cleanup)
        for name, text in cls.FILES.items():
            (pathlib.Path(folder.name) / name).write_text(text)
        pairs = [(f"/row{number}", row) for number, row in enumerate(cls.ROWS)]
        cls.places = {"top": "trusted_proxies: [127.0.0.0/8]", **cls.more,
                      "routes": "\n".join(row.route(prefix) for prefix, row in pairs).replace("@DIR@", folder.name),
                      "endpoints": "\n".join(row.endpoints(prefix) for prefix, row in pairs)}
        super().setUpClass()

    def ask_directly(self, prefix, row):
        body = row.body if row.body is None or isinstance(row.body, str) else json.dumps(row.body)
        answer = self.sheaf.request(row.method, prefix + row.path, body, {**row.headers, **self.outer(row)})
        is_json = "json" in answer.headers.get("content-type", "")
        return Got(answer.status, answer.headers, answer.json if is_json and answer.body else answer.body)

    @staticmethod
    def outer(row):
        return {"X-Forwarded-For": row.client} if row.client else {}

    def ask_item(self, prefix, row, own, outer):
        item = {"method": row.method, "url": prefix + row.path, "headers": own}
        if row.body is not None:
            item["body"] = row.body
        answer = self.sheaf.batch([item], {**outer, **self.outer(row)})
        self.assertEqual(answer.status, 207, answer.body[:500])
        return self.of_result(answer.json["responses"][0])

    def ask_element(self, prefix, row):
        answer = self.sheaf.post([{}], self.outer(row), path="/bulk" + prefix)
        self.assertEqual(answer.status, 207, answer.body[:500])
        return self.of_result(answer.json["responses"][0])

    def ask_part(self, prefix, row):
        answer = self.sheaf.request("GET", "/aggregate" + prefix, headers=self.outer(row))
        self.assertEqual(answer.status, 207, answer.body[:500])
        return self.of_result(answer.json["responses"][0])

    @staticmethod
    def of_result(result):
        headers = {name: ", ".join(value) if isinstance(value, list) else value for name, value in result["headers"].items()}
        return Got(result["status"], headers, result.get("body"))

    def ways(self, prefix, row):
        yield DIRECT, self.ask_directly(prefix, row)
        yield OWN, self.ask_item(prefix, row, row.headers, {})
        if row.inherits:
            yield INHERITED, self.ask_item(prefix, row, {}, row.headers)
        yield BULK, self.ask_element(prefix, row)
        yield PART, self.ask_part(prefix, row)

    def check(self, row, got):
        self.assertEqual(got.status, row.status, got.body)
        for name, value in row.sees.items():
            self.assertEqual(got.seen(name), value, name)
        for name, value in row.says.items():
            self.assertEqual(got.headers.get(name), value, name)
        if row.problem:
            self.assertEqual(got.body["type"], "urn:sheaf:problem:" + row.problem)

    def test_every_way_of_asking_meets_the_same_decision(self):
        for number, row in enumerate(self.ROWS):
            for way, got in self.ways(f"/row{number}", row):
                with self.subTest(row=row.name, way=way):
                    self.check(row, got)
