#!/usr/bin/python3
"""The examples, run as a stranger would: against the real tcnd with the simulated radio on a private bus.

TCND_PROGRAMS names the folder of the programs, which is target/debug if it is not set. Needs dbus, gjs
and python3-gi.
"""

import json
import re
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "screens"))

from desktop import PROGRAMS, PROJECT, ScreenTest, printed

EXAMPLES = PROJECT / "examples"


class Examples(ScreenTest):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.work = Path(folder.name)
        self.address = self.bus()

    def follows(self, *command):
        """A program tells that tcnd is absent, at work, paused, and absent again."""
        example = self.start(*command, self.address, stdout=subprocess.PIPE)
        said = lambda wanted: next(line for line in example.stdout if line.rstrip("\n") == wanted)
        said("not running")
        tcnd = self.tcnd(self.address, self.work / "tcnd")
        said("running")
        printed(PROGRAMS / "tcnctl", "--bus", self.address, "pause")
        said("paused")
        self.end(tcnd)
        said("not running")

    def test_python(self):
        self.follows("/usr/bin/python3", EXAMPLES / "python" / "tcnd_state.py")

    def test_javascript(self):
        self.follows("gjs", EXAMPLES / "javascript" / "tcnd_state.js")

    def test_waybar(self):
        """The module is JSON but for its comments, and its commands are those of tcnctl."""
        text = (EXAMPLES / "waybar" / "config.jsonc").read_text()
        config = json.loads(re.sub(r"^ *//.*$", "", text, flags=re.M))
        module = config["custom/tcnd"]
        self.assertEqual(config["modules-right"], ["custom/tcnd"])
        self.tcnd(self.address, self.work / "tcnd")
        tcnctl = lambda key: [PROGRAMS / "tcnctl", *module[key].split()[1:], "--bus", self.address]
        watch = self.start(*tcnctl("exec"), stdout=subprocess.PIPE)
        until = lambda state: next(line for line in watch.stdout if json.loads(line)["class"] == state)
        until("running")
        printed(*tcnctl("on-click"))
        until("paused")
        printed(*tcnctl("on-click-right"))
        until("running")


if __name__ == "__main__":
    unittest.main()
