"""The command line: check, keys, schema, version, demo."""
import http.client
import json
import pathlib
import re
import subprocess
import tempfile
import unittest

from harness import DEADLINE, ROOT, SANITIZER, SHEAF, Process, free_port

GOOD = """listen: [{address: "127.0.0.1:0"}]
upstreams: {u: {servers: ["http://127.0.0.1:9"]}}
routes: [{match: "/x", upstream: u}]
endpoints: [{path: /batch}]
"""


def sheaf(*args):
    done = subprocess.run([SHEAF, *args], capture_output=True, text=True, timeout=60)
    assert not SANITIZER.search(done.stderr), done.stderr
    return done


class Command(unittest.TestCase):
    def check(self, text):
        with tempfile.TemporaryDirectory() as directory:
            path = pathlib.Path(directory) / "sheaf.yaml"
            path.write_text(text)
            return sheaf("check", "-c", str(path))

    def test_check_of_a_good_file_is_0(self):
        done = self.check(GOOD)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(done.stderr, "")

    def test_the_shipped_examples_load(self):
        for path in sorted((ROOT / "config").glob("*.yaml")):
            done = sheaf("check", "-c", str(path))
            self.assertEqual(done.returncode, 0, done.stderr)

    def test_check_of_a_bad_file_is_1_and_reports_everything_in_place(self):
        done = self.check(GOOD.replace("match", "mtach").replace("/batch}", "/batch, timeout: soon, linger: 1h}"))
        self.assertEqual(done.returncode, 1)
        self.assertIn("sheaf.yaml:3:11", done.stderr)
        self.assertIn("match", done.stderr.replace("mtach", ""))
        self.assertGreaterEqual(len(re.findall(r"sheaf\.yaml:4:\d+", done.stderr)), 2, done.stderr)
        self.assertIn("^", done.stderr)

    def test_openapi_describes_the_endpoints_as_configured(self):
        with tempfile.TemporaryDirectory() as directory:
            path = pathlib.Path(directory) / "sheaf.yaml"
            path.write_text(GOOD.replace("/batch}", "/batch, max_items: 7, status: 200}, {path: /b/$batch}"))
            done = sheaf("openapi", "-c", str(path))
        self.assertEqual(done.returncode, 0, done.stderr)
        document = json.loads(done.stdout)
        self.assertEqual(document["openapi"], "3.1.0")
        self.assertEqual(set(document["paths"]), {"/batch", "/b/$batch"})
        post = document["paths"]["/batch"]["post"]
        bare = post["requestBody"]["content"]["application/json"]["schema"]["oneOf"][1]
        self.assertEqual(bare["maxItems"], 7)
        self.assertEqual(set(post["responses"]), {"200", "default"})
        self.assertIn("207", document["paths"]["/b/$batch"]["post"]["responses"])
        self.assertIn("application/xml", post["responses"]["200"]["content"])
        self.assertIn("urn:sheaf:problem:cycle", document["components"]["schemas"]["Problem"]["properties"]["type"]["enum"])
        for place in re.findall(r'"#/components/schemas/(\w+)"', done.stdout):
            self.assertIn(place, document["components"]["schemas"])

    def test_openapi_describes_aggregates_by_what_they_read(self):
        with tempfile.TemporaryDirectory() as directory:
            path = pathlib.Path(directory) / "sheaf.yaml"
            path.write_text(GOOD.replace("{path: /batch}", """{path: "/p/{id}", kind: aggregate, response: merge, items: [
                {id: a, url: "/x/${params.id}?q=${query.q}&r=${query.r:-1}", headers: {x: "${headers.x-y:-}"}, as: first},
                {id: b, url: "/x?r=${query.r:-2}&R=${query.R}", headers: {x: "${headers.X-Y:-}"}}]}, {path: "/p/{id}"}, {path: /m, kind: aggregate, method: PUT, items: [{id: a, url: "/${body/a}"}]}"""))
            done = sheaf("openapi", "-c", str(path))
        self.assertEqual(done.returncode, 0, done.stderr)
        paths = json.loads(done.stdout)["paths"]
        get, post = paths["/p/{id}"]["get"], paths["/p/{id}"]["post"]
        self.assertEqual([(one["in"], one["name"], one["required"]) for one in get["parameters"]],
                         [("path", "id", True), ("query", "q", True), ("query", "r", False), ("header", "x-y", False),
                          ("query", "R", True)])
        self.assertNotIn("requestBody", get)
        self.assertEqual(set(get["responses"]), {"200", "502", "default"})
        self.assertEqual(set(get["responses"]["200"]["content"]["application/json"]["schema"]["properties"]), {"first", "b"})
        self.assertEqual([one["name"] for one in post["parameters"]], ["id"])
        self.assertEqual(set(paths["/m"]["put"]["responses"]), {"207", "default"})
        self.assertEqual(set(paths["/m"]["put"]["requestBody"]["content"]), {"application/json"})

    def test_openapi_describes_bulks(self):
        with tempfile.TemporaryDirectory() as directory:
            path = pathlib.Path(directory) / "sheaf.yaml"
            path.write_text(GOOD.replace("{path: /batch}", """{path: /b, kind: bulk, max_items: 7, each: {url: /x}},
                {path: /b, kind: bulk, method: PURGE, each: {url: /x}}, {path: /c, kind: bulk, method: SEARCH, each: {url: /x}}"""))
            done = sheaf("openapi", "-c", str(path))
        self.assertEqual(done.returncode, 0, done.stderr)
        paths = json.loads(done.stdout)["paths"]
        self.assertEqual({path: set(item) for path, item in paths.items()}, {"/b": {"post", "x-purge"}, "/c": {"x-search"}})
        self.assertEqual([(one["in"], one["name"], one["explode"]) for one in paths["/b"]["post"]["parameters"]],
                         [("query", "ids", False)])
        kinds = paths["/b"]["post"]["requestBody"]["content"]
        self.assertEqual(set(kinds), {"application/json", "application/x-ndjson"})
        self.assertEqual(kinds["application/json"]["schema"]["oneOf"][0], {"type": "array", "maxItems": 7})

    def openapi(self, endpoints):
        with tempfile.TemporaryDirectory() as directory:
            path = pathlib.Path(directory) / "sheaf.yaml"
            path.write_text(GOOD.replace("{path: /batch}", endpoints))
            done = sheaf("openapi", "-c", str(path))
        self.assertEqual(done.returncode, 0, done.stderr)
        return json.loads(done.stdout)

    def test_what_openapi_calls_one_of_several_fits_one_only(self):
        found = []

        def visit(node):
            for name, inner in node.items() if isinstance(node, dict) else enumerate(node):
                if name == "oneOf":
                    found.append([choice.get("type") for choice in inner])
                if isinstance(inner, (dict, list)):
                    visit(inner)
        visit(self.openapi("{path: /batch}, {path: /bulk, kind: bulk, each: {url: /x}}"))
        self.assertGreaterEqual(len(found), 5)
        for types in found:  # a schema without a type takes every string; an integer is no string
            self.assertNotIn(None, types)
            self.assertEqual(len(set(types)), len(types), types)

    def test_openapi_describes_what_the_dialects_and_envelopes_say(self):
        paths = self.openapi("""{path: /d, envelope: data, status: 200}, {path: /m, status: mixed},
            {path: /a, dialect: apisix, max_items: 5}, {path: /t, dialect: tyk}""")["paths"]

        def schema(path, status):
            return paths[path]["post"]["responses"][status]["content"]["application/json"]["schema"]

        def asked(path):
            return paths[path]["post"]["requestBody"]["content"]["application/json"]["schema"]
        self.assertEqual(schema("/d", "200")["required"], ["status", "data"])
        self.assertEqual(schema("/d", "200")["properties"]["status"], {"const": 200})
        self.assertEqual(schema("/m", "207"), schema("/m", "default"))
        self.assertEqual(asked("/a")["properties"]["pipeline"]["maxItems"], 5)
        self.assertEqual(set(schema("/a", "200")["items"]["properties"]), {"status", "reason", "headers", "body", "bodyEncoding"})
        self.assertIn("error_msg", schema("/a", "default")["required"])
        self.assertIn("relative_url", asked("/t")["properties"]["requests"]["items"]["properties"])
        self.assertIn("code", schema("/t", "200")["items"]["properties"])
        self.assertIn("message", schema("/t", "default")["required"])

    def test_a_method_that_openapi_has_no_place_for_is_an_extension(self):
        paths = self.openapi("""{path: /b, kind: bulk, method: PURGE, each: {url: /x}},
            {path: /b, kind: bulk, method: PATCH, each: {url: /x}}""")["paths"]
        self.assertEqual(set(paths["/b"]), {"x-purge", "patch"})

    def test_openapi_of_a_bad_file_is_1(self):
        with tempfile.TemporaryDirectory() as directory:
            path = pathlib.Path(directory) / "sheaf.yaml"
            path.write_text(GOOD.replace("match", "mtach"))
            done = sheaf("openapi", "-c", str(path))
        self.assertEqual((done.returncode, done.stdout), (1, ""))
        self.assertIn("sheaf.yaml:3:11", done.stderr)

    def test_check_finds_what_does_not_fit_together(self):
        for change, place in ((("upstream: u}", "upstream: v}"), ":3:"), (("}]\nend", '}, {match: "/x", upstream: u}]\nend'), ":3:"),
                              (("}]\n\"", ""), None), (("[{path: /batch}]", "[{path: /batch}, {path: /batch}]"), ":4:"),
                              (("path: /batch", "path: /x"), None), (("listen:", "lisen:"), ":1:1"), (("[{path", "[{path: ["), None)):
            if GOOD.replace(*change) == GOOD:
                continue
            with self.subTest(change=change):
                done = self.check(GOOD.replace(*change))
                self.assertEqual(done.returncode, 1, done.stderr)
                if place:
                    self.assertIn("sheaf.yaml" + place, done.stderr)

    def test_check_of_no_file_is_1(self):
        done = sheaf("check", "-c", "/does/not/exist.yaml")
        self.assertEqual(done.returncode, 1)
        self.assertIn("/does/not/exist.yaml", done.stderr)

    def test_environment_variables_are_replaced(self):
        done = self.check(GOOD.replace("127.0.0.1:9", "127.0.0.1:${env.SHEAF_TEST_PORT:-9}"))
        self.assertEqual(done.returncode, 0, done.stderr)
        done = self.check(GOOD.replace("127.0.0.1:9", "127.0.0.1:${env.SHEAF_TEST_NOT_SET}"))
        self.assertEqual(done.returncode, 1)

    def test_run_with_a_bad_file_is_1(self):
        with tempfile.NamedTemporaryFile("w", suffix=".yaml") as file:
            file.write("listen: 5\n")
            file.flush()
            done = sheaf("run", "-c", file.name)
        self.assertEqual(done.returncode, 1)
        self.assertIn(":1:9", done.stderr)

    def test_keys_names_every_key(self):
        out = sheaf("keys").stdout
        listed = re.findall(r"^KEY\((\w+),", (ROOT / "config/keys.def").read_text(), re.M)
        for key in listed:
            self.assertIn(key, out)

    def test_schema_is_json_schema(self):
        schema = json.loads(sheaf("schema").stdout)
        self.assertIn("$schema", schema)
        self.assertIn("upstreams", schema["properties"])

    def test_version_names_the_libraries(self):
        out = sheaf("version").stdout
        for name in ("sheaf", "libh2o", "libuv", "OpenSSL"):
            self.assertIn(name, out)

    def test_unknown_commands_are_refused_with_the_usage(self):
        done = sheaf("nonsense")
        self.assertNotEqual(done.returncode, 0)
        self.assertIn("usage", done.stderr)

    def test_the_demo_shows_a_batch_and_its_207(self):
        done = sheaf("demo", "--once")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("207", done.stdout)
        self.assertIn('"summary"', done.stdout)


class Readme(unittest.TestCase):
    """What README.md shows as an exchange is what `sheaf demo` says."""

    @classmethod
    def setUpClass(cls):
        cls.demo = Process([SHEAF, "demo"], env={"SHEAF_DEMO_PORT": str(free_port()), "SHEAF_DEMO_ADMIN_PORT": str(free_port())})
        cls.at = cls.demo.port()
        cls.text = (ROOT / "README.md").read_text(encoding="utf-8")

    @classmethod
    def tearDownClass(cls):
        cls.demo.kill()
        assert not SANITIZER.search("\n".join(cls.demo.err)), cls.demo.err

    def ask(self, method, path, body=None, **headers):
        conn = http.client.HTTPConnection("127.0.0.1", self.at, timeout=DEADLINE)
        conn.request(method, path, body, {name.replace("_", "-"): value for name, value in headers.items()})
        response = conn.getresponse()
        answer = response.read().decode()
        conn.close()
        return response, answer

    def blocks(self, after):
        """The indented blocks that follow a text, in order, without their indentation."""
        rest = self.text[self.text.index(after):]
        return ["\n".join(line[4:] for line in block.split("\n")) for block in re.findall(r"(?:^    .*\n?)+", rest, re.M)]

    def test_its_configurations_load(self):
        aggregate, bulk, whole, failing, policy = re.findall(r"```yaml\n(.*?)```", self.text, re.S)
        for part in (aggregate, bulk):
            self.assertTrue(part.startswith("endpoints:\n"))
        with tempfile.TemporaryDirectory() as directory:
            path = pathlib.Path(directory) / "sheaf.yaml"
            path.write_text(whole + aggregate.split("\n", 1)[1] + bulk.split("\n", 1)[1])
            done = sheaf("check", "-c", str(path))
            for part in (failing, policy):
                path.write_text('listen: [{address: "127.0.0.1:8080"}]\n' + part)
                alone = sheaf("check", "-c", str(path))
                self.assertEqual(alone.returncode, 0, alone.stderr)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("3 endpoints", done.stdout)

    def test_a_batch_and_its_answer(self):
        _, asked, head, shown = self.blocks("## A batch and its answer")[:4]
        response, answer = self.ask("POST", "/batch", asked, Content_Type="application/json")
        self.assertIn(str(response.status), head)
        self.assertEqual(json.loads(answer), json.loads(shown))

    def test_lines_and_their_answer(self):
        asked, shown = self.blocks("NDJSON: an item a line")[:2]
        media = "application/x-ndjson"
        _, answer = self.ask("POST", "/batch", asked.split("\n", 1)[1], Content_Type=media, Accept=media)
        self.assertEqual(sorted(answer.split("\n")), sorted(shown.split("\n")))  # in the order of completion

    def test_xml_and_its_answer(self):
        asked, shown = self.blocks("XML: the answer is")[:2]
        media = "application/xml"
        _, answer = self.ask("POST", "/batch", asked.split("\n", 1)[1], Content_Type=media, Accept=media)
        self.assertEqual(re.sub(r"\s", "", answer.split("?>", 1)[1]), re.sub(r"\s", "", shown))

    def test_parts_and_their_answer(self):
        blocks = self.blocks("multipart/mixed: OData")
        asked = "\n".join(blocks[:3]).split("\n", 1)[1]
        shown = "\n".join(blocks[3:6]).split("\n", 1)[1]
        _, answer = self.ask("POST", "/batch", asked, Content_Type="multipart/mixed; boundary=b")
        unmarked = [re.sub(r"_[0-9a-f]+", "", text.replace("\r\n", "\n")).strip() for text in (answer, shown)]
        self.assertEqual(*unmarked)

    def test_an_aggregate_and_its_answers(self):
        blocks = self.blocks("    GET /profile/42?page=2")
        response, answer = self.ask("GET", blocks[0].split()[1])
        head, shown = blocks[1].split("\n", 1)
        self.assertEqual(json.loads(answer), json.loads(shown))
        for name in ("Content-Type", "Sheaf-Complete", "Cache-Control"):
            self.assertIn(f"{name}: {response.headers[name]}", head)
        response, answer = self.ask("GET", blocks[2].split()[1])
        self.assertEqual(response.status, 502)
        self.assertEqual(json.loads(answer), json.loads(blocks[3]))

    def test_a_direct_request_and_its_answer(self):
        asked, shown = self.blocks("## Direct requests")[:2]
        response, answer = self.ask(*asked.split())
        head, body = shown.split("\n", 1)
        self.assertIn(f"HTTP/1.1 {response.status} {response.reason}", head)
        self.assertIn(f"Content-Type: {response.headers['Content-Type']}", head)
        self.assertEqual(answer, body.strip())

    def test_an_array_and_its_results(self):
        asked, shown = self.blocks("    POST /orders/bulk")[:2]
        _, answer = self.ask("POST", "/orders/bulk", asked.split("\n", 1)[1], Content_Type="application/json")
        title = json.loads(answer)["responses"][1]["body"]["title"]
        self.assertEqual(json.loads(answer), json.loads(shown.replace(",...,", f',"title":{json.dumps(title)},')))


if __name__ == "__main__":
    unittest.main()
