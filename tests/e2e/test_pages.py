"""What the pages of plugins say is so: their examples load, their tables have the keys that there are, ten minutes make a plugin."""
import functools
import hashlib
import http.server
import json
import pathlib
import re
import shlex
import subprocess
import tempfile
import threading
import unittest

from harness import DEADLINE, ROOT, SANITIZER, SHEAF, Process, free_port

PLUGINS = ROOT / "plugins"
PAGES = sorted(PLUGINS.glob("*/README.md"))
SECTIONS = ("listen", "upstreams", "plugins", "routes", "endpoints")
FILES = {"keys": f"acme {hashlib.sha256(b'key').hexdigest()}\n", "jwt.secret": "s" * 64, "redis.password": "secret\n"}
LEAST = {"api_key": "keys: /etc/sheaf/keys", "cors": 'origins: ["https://app.example"]', "example": "word: secret",
         "ip_access": "deny: [192.0.2.0/24]", "jwt": "secret: /etc/sheaf/jwt.secret", "rate_limit": "limits: [{rate: 5, per: 1m}]"}
REST = {"listen": '[{address: "127.0.0.1:0"}]', "routes": '[{match: "/rest", upstream: spare}]', "endpoints": "[{path: /batch}]"}


def blocks(text):
    """The indented and the fenced blocks of a page, without what marks them."""
    found = re.findall(r"^```\w*\n((?s:.*?))^```|((?:^(?: {4}.*)?\n)*^ {4}.*\n?)", text, re.M)
    return [fenced or re.sub(r"^ {4}", "", indented, flags=re.M).strip("\n") + "\n" for fenced, indented in found]


def is_configuration(block):
    return block.partition(":")[0] in (*SECTIONS, "redis")


def completed(block, plugin):
    """A whole configuration around what a page shows of one."""
    if block.startswith("redis:"):
        block = "\n    ".join(["plugins:\n  - use: " + plugin, *filter(None, [LEAST.get(plugin)]), block])
    names = sorted({"spare", *re.findall(r"\bupstream: (\w+)", block)})
    missing = [f"{name}: {{servers: [\"http://127.0.0.1:9\"]}}" for name in names if not re.search(rf"^  {name}: ", block, re.M)]
    if re.search("^upstreams:", block, re.M):
        block = re.sub("^upstreams:", "\n  ".join(["upstreams:", *missing]), block, count=1, flags=re.M)
    else:
        block += "\n  ".join(["upstreams:", *missing]) + "\n"
    for section, value in REST.items():
        if not re.search(f"^{section}:", block, re.M):
            block += f"{section}: {value}\n"
    return block


@functools.lru_cache(None)
def manual():
    """{plugin: {key: what stands in brackets behind it}} of `sheaf keys`."""
    text = subprocess.run([SHEAF, "keys"], capture_output=True, text=True, check=True).stdout
    found = {}
    for plugin, key, words in re.findall(r"^plugins\[(\w+)\]\.(\S+)  \((.*)\)$", text, re.M):
        found.setdefault(plugin, {})[key] = words
    return found


def rows(text):
    """(keys, default) of the tables of keys."""
    for table in re.findall(r"^\| key \| default \|.*\n\|[-|]+\n((?:\|.*\n)+)", text, re.M):
        for line in table.splitlines():
            cells = line.split("|")
            yield re.findall(r"`([^`]+)`", cells[1]), cells[2].strip().strip("`")


class Pages(unittest.TestCase):
    def test_every_example_loads(self):
        for page in PAGES:
            with tempfile.TemporaryDirectory() as folder:
                self.check_examples(page, pathlib.Path(folder))

    def check_examples(self, page, folder):
        for name, text in FILES.items():
            (folder / name).write_text(text)
        examples = [block for block in blocks(page.read_text(encoding="utf-8")) if is_configuration(block)]
        self.assertTrue(examples, page)
        for number, example in enumerate(examples):
            with self.subTest(page=page.parent.name, number=number):
                self.check(folder, completed(example, page.parent.name))

    def check(self, folder, conf):
        path = folder / "sheaf.yaml"
        path.write_text(re.sub("/(etc|var/log)/sheaf/", f"{folder}/", conf))
        done = subprocess.run([SHEAF, "check", "-c", str(path)], capture_output=True, text=True, timeout=60)
        self.assertEqual(done.returncode, 0, done.stderr)

    def test_every_default_may_be_written(self):
        with tempfile.TemporaryDirectory() as folder:
            for name, text in FILES.items():
                (pathlib.Path(folder) / name).write_text(text)
            for plugin, known in manual().items():
                keys = [f"{key}: {told[1]}" for key, words in known.items() if "." not in key and (told := re.search("default (.*)$", words))]
                whole = ", ".join([f"use: {plugin}", *filter(None, [LEAST.get(plugin)]), *keys])
                with self.subTest(plugin=plugin):
                    self.check(pathlib.Path(folder), completed(f"plugins:\n  - {{{whole}}}\n", plugin))

    def test_every_plugin_loads_as_a_shared_object(self):
        with tempfile.TemporaryDirectory() as folder:
            for name, text in FILES.items():
                (pathlib.Path(folder) / name).write_text(text)
            for plugin in manual():
                path = pathlib.Path(SHEAF).resolve().parent / "plugins" / f"{plugin}.so"
                whole = ", ".join([f'file: "{path}"', *filter(None, [LEAST.get(plugin)])])
                with self.subTest(plugin=plugin):
                    self.check(pathlib.Path(folder), completed(f"plugins:\n  - {{{whole}}}\n", plugin))

    def test_tables_have_the_keys_that_there_are(self):
        for page in PAGES:
            with self.subTest(page=page.parent.name):
                text = page.read_text(encoding="utf-8")
                known = manual()[page.parent.name]
                self.assertEqual([key for key in known if f"`{key.rpartition('.')[2]}`" not in text], [])
                last = {key.rpartition(".")[2] for key in known}
                self.assertEqual([key for keys, _ in rows(text) for key in keys if key.rpartition(".")[2] not in last], [])

    def test_and_their_defaults(self):
        for page in PAGES:
            known = manual()[page.parent.name]
            for keys, default in rows(page.read_text(encoding="utf-8")):
                for key in keys:
                    words = next((words for name, words in known.items() if name == key or name.endswith("." + key)), "")
                    told = re.search(r"default (.*)$", words)
                    with self.subTest(page=page.parent.name, key=key):
                        if told:
                            self.assertEqual(default, told[1])
                        self.assertEqual(default == "required", "required" in words.split(", "), words)

    def test_every_plugin_stands_where_one_looks(self):
        for page in ("README.md", "CHANGELOG.md", "plugins/README.md"):
            text = (ROOT / page).read_text(encoding="utf-8")
            names = [each.parent.name for each in PAGES if each.parent.name != "example"]
            self.assertEqual([name for name in names if not re.search(rf"[`\[]{name}[`\]]", text)], [], page)


class Files(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *args):
        pass


class TenMinutes(unittest.TestCase):
    """plugins/README.md, step by step, in an empty folder."""

    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)
        text = (PLUGINS / "README.md").read_text(encoding="utf-8")
        self.code, self.compile, self.conf, self.ask = blocks(text[text.index("**1.**"):text.index("**4.**")])

    def serve_files(self):
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Files, directory=self.folder))
        self.addCleanup(server.server_close)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        self.addCleanup(server.shutdown)
        return server.server_address[1]

    def run_here(self, command):
        done = subprocess.run(command, cwd=self.folder, capture_output=True, text=True, timeout=60)
        self.assertEqual((done.returncode, done.stderr), (0, ""), command)

    def test_the_plugin_is_compiled_checked_and_asked(self):
        (self.folder / "mine.c").write_text(self.code)
        self.run_here([word.replace("SHEAF", str(ROOT)) for word in shlex.split(self.compile)])
        at = free_port()
        conf = self.conf.replace("8080", str(at)).replace("8000", str(self.serve_files()))
        (self.folder / "mine.yaml").write_text(conf)
        self.assertIn("sheaf check -c mine.yaml && sheaf run -c mine.yaml", self.ask)
        self.run_here([SHEAF, "check", "-c", "mine.yaml"])
        gateway = Process([SHEAF, "run", "-c", str(self.folder / "mine.yaml")])
        self.addCleanup(gateway.kill)
        gateway.port()
        curl = shlex.split(self.ask[self.ask.rindex("curl"):].replace("\\\n", "").replace("8080", str(at)))
        done = subprocess.run(curl, capture_output=True, text=True, timeout=DEADLINE)
        self.assertEqual([result["status"] for result in json.loads(done.stdout)["responses"]], [200, 431])
        self.assertFalse([line for line in gateway.err if SANITIZER.search(line)])


if __name__ == "__main__":
    unittest.main()
