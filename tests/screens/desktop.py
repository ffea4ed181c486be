"""What the tests of screens share: processes that end with a test, message buses, displays and pictures."""

import os
import signal
import subprocess
import time
import unittest
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[2]
PROGRAMS = Path(os.environ.get("TCND_PROGRAMS", PROJECT / "target" / "debug")).resolve()
KEPT = PROJECT / "target" / "screens"
SOON = 60  # seconds in which what must happen happens, on a busy machine too


def printed(*command, **more):
    """The output of a command that must succeed."""
    return subprocess.run(command, check=True, capture_output=True, text=True, timeout=120, **more).stdout


class ScreenTest(unittest.TestCase):
    """A test with processes, which end with it in the reverse order of their start."""

    @classmethod
    def setUpClass(cls):
        KEPT.mkdir(parents=True, exist_ok=True)

    def start(self, *command, **more):
        """Start a process; if its output is read, by its stdout."""
        process = subprocess.Popen(command, text=True, stderr=subprocess.DEVNULL, **{"stdout": subprocess.DEVNULL} | more)
        self.addCleanup(self.end, process)
        return process

    @staticmethod
    def end(process):
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(SOON)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        if process.stdout:
            process.stdout.close()

    def bus(self, **more):
        """The address of a new message bus."""
        bus = self.start("dbus-daemon", "--session", "--nofork", "--print-address", stdout=subprocess.PIPE, **more)
        return bus.stdout.readline().strip()

    def display(self, size):
        """The name of a new display."""
        display = self.start("Xvfb", "-displayfd", "1", "-screen", "0", f"{size}x24", stdout=subprocess.PIPE)
        return f":{display.stdout.readline().strip()}"

    def tcnd(self, bus, folder, settings="", radio="fake"):
        """Start tcnd with these settings, and wait until it is at work; its process."""
        folder.mkdir()
        config = folder / "tcnd.toml"
        config.write_text(f"enabled = true\n{settings}")
        tcnd = self.start(PROGRAMS / "tcnd", "--radio", radio, "--bus", bus, "--state-dir", folder / "state", "--config", config)
        self.until_watched(bus, '"state":"running"')
        return tcnd

    def until_watched(self, bus, words):
        """Wait until tcnctl watch prints a line with these words."""
        watch = self.start(
            "timeout", str(SOON), PROGRAMS / "tcnctl", "--bus", bus, "watch", "--json", stdout=subprocess.PIPE
        )
        self.assertTrue(any(words in line for line in watch.stdout), f"{words}: not within {SOON} s")
        watch.terminate()

    def until(self, what, right):
        """Wait for something that happens on a screen, of which no event tells."""
        end = time.monotonic() + SOON
        while time.monotonic() < end:
            if found := right():
                return found
            time.sleep(0.05)
        return self.fail(f"{what}: not within {SOON} s")
