#!/usr/bin/python3
"""The tray item in a real panel, and its notification in a real server.

The real tcnd with the simulated radio is on a private bus. The session has Xfce's panel and dunst, and
what packaging/Makefile installs of the tray item. A pointer clicks the icon, and a keyboard chooses from
the menu. The pictures are kept in target/screens. TCND_PROGRAMS names the folder of the programs, which
is target/debug if it is not set. Needs dbus, dunst, imagemagick, librsvg2-common, openbox, xdotool,
xfce4-panel, xvfb and x11-apps.
"""

import json
import os
import subprocess
import tempfile
import unittest
from pathlib import Path

from desktop import KEPT, PROGRAMS, PROJECT, ScreenTest, printed

# A panel at the top with nothing but tray items.
PANEL = """<?xml version="1.0" encoding="UTF-8"?>
<channel name="xfce4-panel" version="1.0">
  <property name="configver" type="int" value="2"/>
  <property name="panels" type="array">
    <value type="int" value="1"/>
    <property name="panel-1" type="empty">
      <property name="position" type="string" value="p=6;x=0;y=0"/>
      <property name="length" type="uint" value="100"/>
      <property name="size" type="uint" value="48"/>
      <property name="plugin-ids" type="array"><value type="int" value="1"/></property>
    </property>
  </property>
  <property name="plugins" type="empty">
    <property name="plugin-1" type="string" value="systray"/>
  </property>
</channel>
"""
# The action that dunst does when it is told to do one.
DUNST = """[all]
summary = "*"
action_name = "later"
"""
ICON = (24, 12)
ICON_AREA = "22x22+14+1"
SUMMARY = "Contact tracing has something for you"


class Indicator(ScreenTest):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.work = Path(folder.name)
        home, runtime, installed = (self.work / name for name in ("home", "runtime", "installed"))
        channel = home / ".config/xfce4/xfconf/xfce-perchannel-xml/xfce4-panel.xml"
        channel.parent.mkdir(parents=True)
        channel.write_text(PANEL)
        dunstrc = home / ".config/dunst/dunstrc"
        dunstrc.parent.mkdir()
        dunstrc.write_text(DUNST)
        runtime.mkdir(mode=0o700)
        printed("make", "-C", PROJECT / "packaging", "install-indicator", f"DESTDIR={installed}", f"BUILT={PROGRAMS}")
        # What the bus starts has the environment of the bus.
        plain = {name: value for name, value in os.environ.items() if not name.startswith(("XDG_", "DBUS_"))}
        self.environment = plain | {
            "HOME": str(home), "XDG_RUNTIME_DIR": str(runtime), "DISPLAY": self.display("800x600"), "LC_ALL": "C.UTF-8",
            "XDG_DATA_DIRS": f"{installed}/usr/share:/usr/local/share:/usr/share",
        }
        self.environment["DBUS_SESSION_BUS_ADDRESS"] = self.bus(env=self.environment)
        self.tcnd_bus = self.bus()
        self.program = installed / "usr/bin/tcnd-indicator"

    def inside(self, *command):
        """The output of a command in the session."""
        return printed(*command, env=self.environment)

    def indicator(self):
        self.start(self.program, "--bus", self.tcnd_bus, env=self.environment)

    def picture(self, name):
        """A picture of the whole screen, which is kept."""
        path = KEPT / f"indicator-{name}.png"
        subprocess.run(f"xwd -root -silent | convert xwd:- '{path}'", shell=True, check=True, env=self.environment)
        return path

    def colours(self):
        """How many colours are where the icon is."""
        path = self.picture("now")
        return int(printed("convert", path, "-crop", ICON_AREA, "-unique-colors", "-format", "%w", "info:"))

    def choose(self, down):
        """Open the menu by a click, and choose the line that this many steps down lead to."""
        before = self.picture("now").read_bytes()
        self.inside("xdotool", "mousemove", *map(str, ICON), "click", "1")
        self.until("the menu", lambda: self.picture("now").read_bytes() != before)
        self.inside("xdotool", "key", *["Down"] * down, "Return")

    def test_the_icon_is_in_the_panel_and_the_menu_pauses_and_resumes(self):
        self.tcnd(self.tcnd_bus, self.work / "tcnd")
        self.start("openbox", env=self.environment)
        self.start("xfce4-panel", "--disable-wm-check", env=self.environment)
        self.inside("xdotool", "search", "--sync", "--onlyvisible", "--class", "xfce4-panel")
        self.until("the panel without an icon", lambda: self.colours() == 1)
        self.indicator()
        self.until("the icon", lambda: self.colours() > 3)
        on = self.picture("on").read_bytes()
        # The line with the state cannot be chosen, so the first step leads to "Pause for an hour".
        self.choose(1)
        self.until_watched(self.tcnd_bus, '"state":"paused"')
        self.until("another icon", lambda: self.picture("paused").read_bytes() != on and self.colours() > 3)
        self.choose(1)
        self.until_watched(self.tcnd_bus, '"state":"running"')

    def displayed(self, count, of="displayed"):
        return lambda: self.inside("dunstctl", "count", of).strip() == str(count)

    def expose(self):
        """A neighbour's tcnd meets ours, and we import its report."""
        street, neighbour = self.work / "street", self.bus()
        street.mkdir()
        self.tcnd(self.tcnd_bus, self.work / "tcnd", radio=f"fake:{street}")
        self.tcnd(neighbour, self.work / "neighbour", radio=f"fake:{street}")
        tcnctl = lambda bus, *words: printed(PROGRAMS / "tcnctl", "--bus", bus, *words)
        self.until("a contact", lambda: json.loads(tcnctl(self.tcnd_bus, "contacts", "--json"))["numbers"])
        file = self.work / "report.tcn"
        tcnctl(neighbour, "report", "create", "--symptoms", "dry-cough", "--yes")
        tcnctl(neighbour, "report", "export", "1", file)
        return lambda: tcnctl(self.tcnd_bus, "report", "import", file)

    def dunst(self):
        self.start("dunst", env=self.environment)
        self.until("dunst", lambda: subprocess.run(["dunstctl", "count", "displayed"], env=self.environment, capture_output=True).returncode == 0)

    def test_one_notification_that_is_put_off_by_its_action(self):
        self.dunst()
        warn = self.expose()
        self.indicator()
        warn()
        self.until("the notification", self.displayed(1))
        self.picture("notification")
        self.inside("dunstctl", "action", "0")
        self.until("the notification to be gone", self.displayed(0))
        history = json.loads(self.inside("dunstctl", "history"))["data"][0]
        [summary] = [one["summary"]["data"] for one in history]
        self.assertEqual(summary, SUMMARY)

    def test_do_not_disturb_is_obeyed(self):
        self.dunst()
        self.inside("dunstctl", "set-paused", "true")
        warn = self.expose()
        self.indicator()
        warn()
        self.until("the notification to wait", self.displayed(1, "waiting"))
        self.assertTrue(self.displayed(0)())
        self.inside("dunstctl", "set-paused", "false")
        self.until("the notification", self.displayed(1))


if __name__ == "__main__":
    unittest.main()
