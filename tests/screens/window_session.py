"""A session with tcnd, the window, and a keyboard: what the tests of the window share."""

import os
import subprocess
import tempfile
from collections import Counter
from pathlib import Path

from accessible import Desktop, GLib
from desktop import KEPT, PROGRAMS, ScreenTest, printed
from logind import Logind

# What stands on the page of exposures if there are none.
EMPTY = (
    "None known. That is not the same as none. No server is configured: only reports that were opened here were looked at."
)
# The pages in their order, each with words that stand on it.
PAGES = {
    "status": "Self-test", "encounters": "By day", "exposures": EMPTY, "report": "Report that you are ill",
}
# What GTK draws around a window without a compositor.
BORDER = 5


class WindowTest(ScreenTest):
    screen = "1000x900"

    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.work = Path(folder.name)
        for name in ("home", "runtime"):
            (self.work / name).mkdir(mode=0o700)
        # What the bus starts has the environment of the bus.
        plain = {name: value for name, value in os.environ.items() if not name.startswith(("XDG_", "DBUS_"))}
        self.environment = plain | {
            "HOME": str(self.work / "home"), "XDG_RUNTIME_DIR": str(self.work / "runtime"), "LC_ALL": "C.UTF-8",
            "GSK_RENDERER": "cairo", "GTK_A11Y": "atspi", "GTK_USE_PORTAL": "0",
        }
        self.tcnd_bus = self.bus()

    def asking(self, state="idle"):
        """Start a tcnd whose configuration leaves the decision to people."""
        street = self.work / "empty-street"
        street.mkdir(exist_ok=True)
        command = ("--radio", f"fake:{street}", "--bus", self.tcnd_bus, "--state-dir", self.work / "state", "--config", "/dev/null")
        tcnd = self.start(PROGRAMS / "tcnd", *command)
        self.until_watched(self.tcnd_bus, f'"state":"{state}"')
        return tcnd

    def consenting(self):
        """Start a tcnd, and give consent."""
        tcnd = self.asking()
        self.tcnctl("enable")
        self.until_watched(self.tcnd_bus, '"state":"running"')
        return tcnd

    def tcnctl(self, *words, bus=None):
        return printed(PROGRAMS / "tcnctl", "--bus", bus or self.tcnd_bus, *words)

    def window(self, **more):
        """Start a session with the window, which has more in its environment."""
        self.environment["DISPLAY"] = self.display(self.screen)
        self.environment["DBUS_SESSION_BUS_ADDRESS"] = self.bus(env=self.environment)
        self.start("openbox", env=self.environment)
        # A program that finds no registry when it starts is not in the tree.
        self.desktop = Desktop(self.environment["DBUS_SESSION_BUS_ADDRESS"])
        self.desktop.programs()
        self.process = self.start(PROGRAMS / "tcnd-window", "--bus", self.tcnd_bus, env=self.environment | more)
        self.until("the window", lambda: self.root() and self.root().children())
        printed("xdotool", "search", "--sync", "--onlyvisible", "--name", "Contact Tracing", env=self.environment)

    def logind(self):
        """Play logind on a system bus of its own; what locks and unlocks the session."""
        self.environment["DBUS_SYSTEM_BUS_ADDRESS"] = address = self.bus()
        played = Logind(address)
        self.addCleanup(played.end)
        return played.lock

    def root(self):
        return self.desktop.program(self.process.pid)

    def things(self):
        """All of the program's tree that is not gone while it is read."""
        while True:
            try:
                return list(self.root().walk())
            except GLib.Error as error:
                # An object that went while the tree was read.
                if "UnknownMethod" not in str(error) and "UnknownObject" not in str(error):
                    raise

    def found(self, role, name, inside=None, contains=False):
        for thing in self.things():
            named = name in thing.title() if contains else name == thing.title()
            if thing.role == role and named and (inside is None or inside in thing.inside):
                return thing
        return None

    def shown(self, role, name, inside=None, contains=False):
        """Wait until this is in the tree."""
        return self.until(f"{role} {name!r}", lambda: self.found(role, name, inside, contains))

    def absent(self, role, name):
        return self.found(role, name) is None

    def gone(self, role):
        self.until(f"no {role}", lambda: not [it for it in self.things() if it.role == role])

    def key(self, *keys):
        printed("xdotool", "key", *keys, env=self.environment)

    def press(self, thing, key):
        """Press a key on this, to which Tab leads. GTK 4.8 lets AT-SPI neither focus anything nor check a box."""
        def reached():
            self.desktop.listen()
            self.desktop.focused.clear()
            self.key("Tab")
            self.until("the focus", lambda: self.desktop.listen() or self.desktop.focused)
            return thing.path in self.desktop.focused and "focused" in thing.now().states

        self.assertTrue(any(reached() for _ in range(60)), thing)
        self.key(key)

    def open_row(self, words):
        """Open a row with these words in its title."""
        [row] = [it for it in self.things() if it.role == "list item" and words in it.title()]
        self.press(row, "Return")

    def picture(self, name):
        """A picture of the window when it stands still, which is kept."""
        path, last, take = KEPT / f"window-{name}.png", [b""], ["xwd", "-silent", "-id", self.number()]

        def still():
            before, last[0] = last[0], subprocess.run(take, check=True, capture_output=True, env=self.environment).stdout
            return before == last[0]

        self.until("a window that stands still", still)
        subprocess.run(["convert", "xwd:-", path], input=last[0], check=True)
        return path

    def number(self):
        return printed("xdotool", "search", "--onlyvisible", "--name", "Contact Tracing", env=self.environment).split()[0]

    def size(self):
        found = printed("xdotool", "getwindowgeometry", "--shell", self.number(), env=self.environment)
        values = dict(line.split("=") for line in found.split())
        return int(values["WIDTH"]), int(values["HEIGHT"])

    def labels(self):
        """The labels that are drawn, with their boxes in the picture of the window."""
        width, height = self.size()
        for thing in self.things():
            if thing.role == "label" and thing.title():
                left, top, across, down = thing.box()
                if across and down and top + down < height - 2 * BORDER:
                    yield thing, (left + BORDER, top + BORDER, across, down)


class Pixels:
    """The pixels of a picture."""

    def __init__(self, picture):
        self.width = int(printed("identify", "-format", "%w", picture))
        self.data = subprocess.run(["convert", picture, "-depth", "8", "rgb:-"], check=True, capture_output=True).stdout

    def contrast(self, box):
        """The contrast of the text in a box to what is around it, as WCAG defines it."""
        left, top, across, down = box
        rows = (range(row * self.width + left, row * self.width + left + across) for row in range(top, top + down))
        pixels = [self.data[3 * at:3 * at + 3] for row in rows for at in row]
        background = luminance(Counter(pixels).most_common(1)[0][0])
        return max(ratio(luminance(pixel), background) for pixel in set(pixels))


def luminance(pixel):
    parts = [part / 255 for part in pixel]
    red, green, blue = (part / 12.92 if part <= 0.03928 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def ratio(one, other):
    return (max(one, other) + 0.05) / (min(one, other) + 0.05)
