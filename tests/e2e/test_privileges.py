"""Who the workers are: `user` and `group`."""
import contextlib
import grp
import os
import pathlib
import pwd
import signal
import socket
import subprocess
import tempfile
import unittest

from harness import DEADLINE, SHEAF, Case, Origin, Sheaf, wait_until


def status(pid):
    """The lines of /proc/PID/status as a dict of lists."""
    lines = pathlib.Path(f"/proc/{pid}/status").read_text().splitlines()
    return {name: value.split() for name, value in (line.split(":", 1) for line in lines)}


def is_alive(pid):
    try:
        return status(pid)["State"][0] != "Z"
    except FileNotFoundError:
        return False


def port_of_root():
    """A free port that only root may listen on."""
    for port in range(1023, 600, -1):
        with contextlib.suppress(OSError), socket.socket() as sock:
            sock.bind(("127.0.0.1", port))
            return port
    raise unittest.SkipTest("no low port is free")


@unittest.skipUnless(os.geteuid() == 0, "only root may become others")
class Privileges(Case):
    @classmethod
    def setUpClass(cls):
        cls.origin = Origin()
        cls.addClassCleanup(cls.origin.kill)
        cls.nobody = pwd.getpwnam("nobody")

    def start_as(self, top, workers=2):
        return self.start(workers=workers, top=top)

    def assert_is(self, pid, uid, gid, groups):
        about = status(pid)
        self.assertEqual(about["Uid"], [str(uid)] * 4)
        self.assertEqual(about["Gid"], [str(gid)] * 4)
        self.assertEqual(sorted(map(int, about["Groups"])), sorted(groups))
        self.assertEqual(about["NoNewPrivs"], ["1"])
        self.assertEqual(int(about["CapEff"][0], 16), 0)

    def test_workers_become_the_user_and_serve(self):
        sheaf = self.start_as("user: nobody")
        gid = self.nobody.pw_gid
        for pid in sheaf.children():
            self.assert_is(pid, self.nobody.pw_uid, gid, os.getgrouplist("nobody", gid))
        self.assertEqual(status(sheaf.pid)["Uid"], ["0"] * 4)
        self.assertEqual(self.run_item("/o/text", sheaf=sheaf)["status"], 200)
        self.assertEqual(sheaf.metrics()["sheaf_items_total{class=\"2xx\"}"], 1)
        self.assertFalse([line for line in sheaf.err if "workers run as root" in line])

    def test_a_group_and_numbers(self):
        for top, uid, gid, groups in (("user: nobody\ngroup: daemon", self.nobody.pw_uid, grp.getgrnam("daemon").gr_gid, None),
                                      ("user: 12345\ngroup: 54321", 12345, 54321, [54321]),
                                      (f"user: {self.nobody.pw_uid}", self.nobody.pw_uid, self.nobody.pw_gid, None)):
            with self.subTest(top=top):
                sheaf = self.start_as(top, workers=1)
                self.assert_is(sheaf.children()[0], uid, gid, groups or os.getgrouplist("nobody", gid))
                self.assertEqual(self.run_item("/o/text", sheaf=sheaf)["status"], 200)

    def test_reloads_and_new_workers_go_on_as_before(self):
        sheaf = self.start_as("user: nobody")
        victim, _ = sheaf.children()
        port = port_of_root()
        sheaf.write_conf(routes='- {match: "/new", rewrite: "/text", upstream: origin}',
                         listeners=f', {{address: "127.0.0.1:{port}"}}', top="user: daemon")
        sheaf.signal(signal.SIGHUP)
        wait_until(lambda: self.run_item("/new", sheaf=sheaf)["status"] == 200, 5, "the reload")
        answer = sheaf.request("POST", "/batch", b"[]", {"Content-Type": "application/json"}, port=port)
        self.assertEqual(answer.status, 207)
        self.assertTrue([line for line in sheaf.err if "takes effect with the next start" in line])
        os.kill(victim, signal.SIGKILL)
        pids = wait_until(lambda: len(pids := sheaf.children()) == 2 and victim not in pids and pids, 5, "the successor")
        wait_until(lambda: all(status(pid)["Uid"] == [str(self.nobody.pw_uid)] * 4 for pid in pids), 5, "their user")
        self.assertEqual(self.run_item("/new", sheaf=sheaf)["status"], 200)

    def test_workers_of_another_user_die_with_the_supervisor(self):
        sheaf = Sheaf(self.origin, workers=2, top="user: nobody")
        self.addCleanup(sheaf.dir.cleanup)
        children = sheaf.children()
        self.assertEqual(len(children), 2)
        sheaf.kill()
        wait_until(lambda: not any(is_alive(pid) for pid in children), 5, "their end")

    def test_a_stuck_worker_of_another_user_is_ended_too(self):
        sheaf = self.start_as("user: nobody\nstuck_after: 1s", workers=1)
        (pid,) = sheaf.children()
        os.kill(pid, signal.SIGSTOP)
        self.assertEqual(self.run_item("/o/text", sheaf=sheaf)["status"], 200)
        self.assertNotIn(pid, sheaf.children())

    def test_one_process_alone_becomes_it_itself(self):
        sheaf = self.start_as("user: nobody", workers=0)
        gid = self.nobody.pw_gid
        self.assert_is(sheaf.pid, self.nobody.pw_uid, gid, os.getgrouplist("nobody", gid))
        self.assertEqual(self.run_item("/o/text", sheaf=sheaf)["status"], 200)
        self.assertEqual(sheaf.get_admin("/metrics").status, 200)

    def test_workers_that_stay_root_are_a_warning(self):
        for workers in (1, 0):
            sheaf = self.start_as("", workers)
            wait_until(lambda: [line for line in sheaf.err if "workers run as root" in line], 3, "the warning")

    def test_a_file_that_a_plugin_makes_is_the_workers(self):
        for workers in (1, 0):
            with self.subTest(workers=workers):
                folder = pathlib.Path(self.sheaf_dir())
                os.chown(folder, self.nobody.pw_uid, self.nobody.pw_gid)
                log, path = folder / "access.log", folder / "sheaf.yaml"
                top = f'user: nobody\nplugins: [{{use: access_log, path: "{log}"}}]'
                path.write_text(f'listen: [{{address: "127.0.0.1:0"}}]\n{top}\n')
                done = subprocess.run([SHEAF, "check", "-c", str(path)], capture_output=True, text=True, timeout=DEADLINE)
                self.assertEqual(done.returncode, 0, done.stderr)
                self.assertEqual(log.stat().st_uid, self.nobody.pw_uid)
                log.unlink()
                sheaf = self.start_as(top, workers)
                self.assertEqual(self.run_item("/o/text", sheaf=sheaf)["status"], 200)
                self.assertEqual(log.stat().st_uid, self.nobody.pw_uid)

    def refusal(self, top, as_nobody=False):
        """What is said on stderr by a gateway that does not start."""
        folder = pathlib.Path(self.sheaf_dir())
        path = folder / "sheaf.yaml"
        path.write_text('listen: [{address: "127.0.0.1:0"}]\nworkers: 1\n' + top + "\n")
        os.chmod(path, 0o644)
        more = {"user": "nobody", "group": "nogroup", "extra_groups": []} if as_nobody else {}
        done = subprocess.run([SHEAF, "run", "-c", str(path)], capture_output=True, text=True, timeout=DEADLINE, **more)
        self.assertEqual(done.returncode, 1, done.stderr)
        self.assertEqual(done.stdout, "")
        return done.stderr

    def sheaf_dir(self):
        folder = tempfile.TemporaryDirectory(prefix="sheaf-e2e-")
        self.addCleanup(folder.cleanup)
        os.chmod(folder.name, 0o755)
        return folder.name

    def test_who_cannot_be_is_a_clear_error(self):
        self.assertIn("there is no user `no-such-user` here", self.refusal("user: no-such-user"))
        self.assertIn("there is no group `no-such-group` here", self.refusal("group: no-such-group"))
        self.assertIn("nobody knows the group of user 12345: say `group` too", self.refusal("user: 12345"))
        self.assertIn("there is no user `4294967295`", self.refusal("user: 4294967295"))
        self.assertIn("`user` must be a name or a number", self.refusal('user: ""'))
        self.assertIn("only root may", self.refusal("user: daemon", as_nobody=True))


if __name__ == "__main__":
    unittest.main()
