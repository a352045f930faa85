"""The command line: check, keys, schema, version, demo."""
import json
import pathlib
import re
import subprocess
import tempfile
import unittest

from harness import ROOT, SANITIZER, SHEAF

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

    def test_openapi_describes_bulks_but_no_method_that_it_has_no_word_for(self):
        with tempfile.TemporaryDirectory() as directory:
            path = pathlib.Path(directory) / "sheaf.yaml"
            path.write_text(GOOD.replace("{path: /batch}", """{path: /b, kind: bulk, max_items: 7, each: {url: /x}},
                {path: /b, kind: bulk, method: PURGE, each: {url: /x}}, {path: /c, kind: bulk, method: SEARCH, each: {url: /x}}"""))
            done = sheaf("openapi", "-c", str(path))
        self.assertEqual(done.returncode, 0, done.stderr)
        paths = json.loads(done.stdout)["paths"]
        self.assertEqual({path: set(item) for path, item in paths.items()}, {"/b": {"post"}})
        self.assertEqual([(one["in"], one["name"], one["explode"]) for one in paths["/b"]["post"]["parameters"]],
                         [("query", "ids", False)])
        kinds = paths["/b"]["post"]["requestBody"]["content"]
        self.assertEqual(set(kinds), {"application/json", "application/x-ndjson"})
        self.assertEqual(kinds["application/json"]["schema"]["oneOf"][0], {"type": "array", "maxItems": 7})

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


if __name__ == "__main__":
    unittest.main()
