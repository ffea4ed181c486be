"""What the purge does while another process interferes, tested on the script itself.

The functions of packaging/debian/tcnd.postrm run on a test folder. As the service's user
could do, a thread puts links in their way as soon as they have started, and processes of
that user outlive the service. Needs root, as a purge does.
"""

import os
import re
import subprocess
import tempfile
import threading
import unittest
from pathlib import Path

SCRIPT = Path(__file__).resolve().parents[2] / "packaging" / "debian" / "tcnd.postrm"
# A uid that no process has, so that no other process is ended.
USER = 64321
SECRET = b"whom-I-met"


def run(call, path=None):
    """Load the functions of the script, and then run this call."""
    text = SCRIPT.read_text()
    functions = text[: text.index('if [ "$1" = purge ]')]
    environment = {**os.environ, "LC_ALL": "C"}
    if path:
        environment["PATH"] = f"{path}:{environment['PATH']}"
    done = subprocess.run(["sh", "-c", f"{functions}\n{call}"], capture_output=True, text=True, env=environment, timeout=60)
    if done.returncode:
        raise AssertionError(f"{call}:\n{done.stdout}{done.stderr}")
    return done.stderr


class Destroying(unittest.TestCase):
    def setUp(self):
        place = tempfile.TemporaryDirectory()
        self.addCleanup(place.cleanup)
        self.place = Path(place.name)
        self.state, self.outside = self.place / "state", self.place / "outside"
        self.outside.mkdir()
        self.victim = self.outside / "log"
        self.victim.write_bytes(b"root:secret")

    def fill(self):
        """Two folders: the second is swapped as soon as work on the first is seen."""
        for folder in ("first", "second"):
            (self.state / folder).mkdir(parents=True)
        for number in range(40):
            (self.state / "first" / str(number)).write_bytes(SECRET)
        (self.state / "second" / "log").write_bytes(SECRET)

    def has_started(self):
        """Whether a file of the first folder was overwritten, or is gone."""
        try:
            return any(file.read_bytes() != SECRET for file in (self.state / "first").iterdir())
        except OSError:
            return True

    def race(self, swap):
        """Destroy the state, and run `swap` as soon as work on it is seen."""
        ended = threading.Event()

        def watch():
            while not ended.is_set():
                if self.has_started():
                    try:
                        swap()
                    except OSError:
                        pass  # too late
                    return

        thread = threading.Thread(target=watch)
        thread.start()
        try:
            run(f"destroy {self.state}")
        finally:
            ended.set()
            thread.join()

    def hold(self, swap):
        for _ in range(10):
            self.fill()
            self.race(swap)
            self.assertEqual(self.victim.read_bytes(), b"root:secret", "a file outside was written over")
            self.assertFalse(self.state.exists())

    def test_a_folder_swapped_for_a_link_leads_nowhere(self):
        def swap():
            os.rename(self.state / "second", self.state / "aside")
            os.symlink(self.outside, self.state / "second")

        self.hold(swap)

    def test_a_file_swapped_for_a_link_leads_nowhere(self):
        def swap():
            os.symlink(self.victim, self.state / "link")
            os.rename(self.state / "link", self.state / "second" / "log")

        self.hold(swap)

    def test_a_file_swapped_for_a_pipe_holds_nothing_up(self):
        def swap():
            os.mkfifo(self.state / "pipe")
            os.rename(self.state / "pipe", self.state / "second" / "log")

        self.hold(swap)

    def test_files_are_written_over_and_links_are_not_followed(self):
        self.fill()
        named = self.state / "second" / "-a key\nof mine"
        named.write_bytes(SECRET)
        (self.state / "empty").touch()
        os.symlink(self.outside, self.state / "out")
        os.mkfifo(self.state / "pipe")
        witnesses = [self.place / "one", self.place / "two"]
        os.link(self.state / "second" / "log", witnesses[0])
        os.link(named, witnesses[1])
        self.assertEqual(run(f"destroy {self.state}"), "")
        for witness in witnesses:
            self.assertEqual(len(witness.read_bytes()), len(SECRET))
            self.assertNotEqual(witness.read_bytes(), SECRET)
        self.assertEqual(self.victim.read_bytes(), b"root:secret")
        self.assertFalse(self.state.exists())

    def test_one_file_a_link_and_nothing(self):
        file, link = self.place / "tcnd.kek", self.place / "link"
        file.write_bytes(SECRET)
        os.link(file, self.place / "witness")
        os.symlink(self.outside, link)
        run(f"destroy {file}; destroy {link}; destroy {self.place}/nothing")
        self.assertNotEqual((self.place / "witness").read_bytes(), SECRET)
        self.assertFalse(file.exists() or link.is_symlink())
        self.assertTrue(self.victim.exists())


class Processes(unittest.TestCase):
    """`id` prints a uid that no user has."""

    def setUp(self):
        place = tempfile.TemporaryDirectory()
        self.addCleanup(place.cleanup)
        self.path = Path(place.name)
        (self.path / "id").write_text(f"#!/bin/sh\necho {USER}\n")
        (self.path / "id").chmod(0o755)

    def start(self, *command):
        process = subprocess.Popen(command, stdout=subprocess.PIPE)
        self.addCleanup(process.stdout.close)
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        process.stdout.readline()
        return process

    def as_user(self, script):
        # Not dumpable, as tcnd is: its files in /proc belong to root.
        own = f"import ctypes,os,signal; os.setgid({USER}); os.setuid({USER}); ctypes.CDLL(None).prctl(4, 0)\n"
        return self.start("python3", "-c", f"{own}{script}")

    def test_all_of_the_user_end_and_nobody_elses(self):
        ready = "print('ready', flush=True); signal.pause()"
        stubborn = "[signal.signal(s, signal.SIG_IGN) for s in (15, 2, 1)]\n"
        forking = "os.fork(); os.fork()\n"
        own = [self.as_user(ready), self.as_user(stubborn + ready), self.as_user(forking + ready)]
        other = self.start("sh", "-c", "echo ready; exec sleep 60")
        self.assertEqual(run("end_processes tcnd", self.path), "")
        for process in own:
            self.assertEqual(process.wait(10), -9)
        self.assertIsNone(other.poll())
        mine = [status for status in Path("/proc").glob("[0-9]*/status") if self.is_alive(status)]
        self.assertEqual(mine, [])

    @staticmethod
    def is_alive(status):
        try:
            text = status.read_text()
        except OSError:
            return False
        return bool(re.search(rf"^Uid:.*\b{USER}\b", text, re.M)) and not re.search(r"^State:\s*[ZX]", text, re.M)

    def test_those_of_a_container_are_left_alone(self):
        sleep = f"import os; os.setuid({USER}); print('ready', flush=True); os.execvp('sleep', ['sleep', '60'])"
        contained = self.start("unshare", "--pid", "--fork", "--kill-child", "python3", "-c", sleep)
        run("end_processes tcnd", self.path)
        self.assertIsNone(contained.poll())

    def test_no_such_user_is_nothing_to_do(self):
        (self.path / "id").write_text("#!/bin/sh\nexit 1\n")
        self.assertEqual(run("end_processes tcnd", self.path), "")

    def test_the_purge_ends_them_before_it_destroys_anything(self):
        purge = SCRIPT.read_text().split('if [ "$1" = purge ]')[1]
        order = [purge.index(step) for step in ("end_processes tcnd\n", "end_processes tcnd-sync\n", "destroy /var/lib/tcnd\n")]
        self.assertEqual(order, sorted(order))


class Users(unittest.TestCase):
    def test_without_the_programs_for_it_they_stay_and_the_purge_goes_on(self):
        # Debian testing has systems without the package passwd.
        self.assertEqual(run("command() { return 127; }; getent() { return 0; }; forget tcnd"),
                         "tcnd: the user tcnd stays, since there is no userdel\n")


if __name__ == "__main__":
    unittest.main()
