#!/usr/bin/python3
"""The window on a display, as people and as assistive technology use it.

The real tcnd with the simulated radio is on a private bus. The window is read and used by AT-SPI and by
a keyboard. The trees that the pages have are in tests/screens/window; WRITE_TREES=1 writes them again. The
pictures are kept in target/screens. TCND_PROGRAMS names the folder of the programs, which is target/debug
if it is not set. Needs adwaita-icon-theme, at-spi2-core, dbus, imagemagick, libadwaita-1-0, openbox,
python3-gi, xdotool, xvfb and x11-apps.
"""

import json
import os
import re
import signal
import subprocess
import unittest
from pathlib import Path

from desktop import PROGRAMS, printed
from window_session import EMPTY, PAGES, Pixels, WindowTest

TREES = Path(__file__).parent / "window"
READABLE = 4.5
# Focusable things of GTK 4.8 that have no name and cannot get one from a program.
NAMELESS = {
    "group": "a scrolled window, which scrolls by keys",
    "list": "the list in a group of rows without a title",
    "list item": "the outer row of an AdwExpanderRow",
}
# A reason with markup, and with characters that turn the direction of texts and ring a bell.
REASON = "<b>x</b>&amp;\u202e\u0007 end"
# The buttons of GTK's title bar, for which the window manager has keys.
TITLE_BAR = ("Minimize", "Maximize", "Close")


class Pages(WindowTest):
    def check_tree(self, name):
        """The tree of what is shown is the stored one, and follows the rules."""
        things = self.things()
        for thing in things:
            if "focusable" in thing.states and not thing.title():
                self.assertIn(thing.role, NAMELESS, f"{name}: {thing} has no name")
            if thing.role == "image" and not thing.title():
                # Nothing of this window: the icons of tabs and of an AdwStatusPage are beside their names.
                self.fail(f"{name}: {thing} has no name")
        found = "".join(f"{thing.line()}\n" for thing in things if thing.title() or "focusable" in thing.states)
        found = re.sub(r"\w+day, \d+ \w+|\d+:\d\d", "TIME", found)
        found = re.sub(r" focused|'(less than a minute|Never)'", lambda it: "'A DURATION'" if it[1] else "", found)
        stored = TREES / f"{name}.txt"
        if os.environ.get("WRITE_TREES"):
            TREES.mkdir(exist_ok=True)
            stored.write_text(found)
        self.assertEqual(found, stored.read_text())

    def test_each_page_has_the_stored_tree(self):
        self.consenting()
        self.window()
        self.shown("label", "On the air")
        for at, (page, words) in enumerate(PAGES.items()):
            self.key(f"alt+{at + 1}")
            self.shown("label", words)
            self.check_tree(page)

    def reachable(self):
        """What keys have to reach, by its path."""
        reachable = (
            it for it in self.things()
            if {"focusable", "sensitive"} <= it.states and it.role not in NAMELESS and it.title() not in TITLE_BAR
        )
        # One of three switchers of pages is drawn.
        return {it.path: it for it in reachable if it.role != "tab" or it.is_drawn() and it.box()[3] > 40}

    def test_tab_reaches_all_that_can_be_focused(self):
        self.consenting()
        self.window()
        self.shown("label", "On the air")
        for at, (page, words) in enumerate(PAGES.items()):
            self.key(f"alt+{at + 1}")
            self.shown("label", words)
            wanted = self.reachable()
            self.desktop.focused.clear()

            def reached():
                self.key(*["Tab"] * 10)
                self.desktop.listen()
                return not wanted.keys() - self.desktop.focused

            self.until(f"the focus on all of {page}: {wanted}", reached)

    def test_keys_open_the_menu_and_quit(self):
        self.consenting()
        self.window()
        self.shown("label", "On the air")
        self.key("F10")
        self.shown("menu item", "Quit")
        self.key("Escape")
        self.key("ctrl+q")
        self.assertEqual(self.process.wait(60), 0)


class Actions(WindowTest):
    def test_the_switch_asks_before_it_withdraws_consent(self):
        self.consenting()
        self.window()
        self.shown("switch", "On the air").act()
        self.shown("button", "Switch off").act()
        self.until_watched(self.tcnd_bus, '"state":"idle"')
        self.shown("switch", "Off").act()
        self.until_watched(self.tcnd_bus, '"state":"running"')
        self.shown("label", "On the air")

    def test_pause_and_resume(self):
        self.consenting()
        self.window()
        self.assertTrue(self.absent("button", "Check now"))
        # Only the button inside of a GtkMenuButton opens its menu.
        self.shown("button", "Pause").act()
        self.shown("menu item", "For an hour").act()
        self.until_watched(self.tcnd_bus, '"state":"paused"')
        self.shown("label", "A pause from this window")
        self.shown("button", "Resume").act()
        self.until_watched(self.tcnd_bus, '"state":"running"')
        self.shown("label", "On the air")

    def test_the_self_test_shows_its_results(self):
        self.consenting()
        self.window()
        self.shown("button", "Test now").act()
        self.shown("label", "Results of the self-test")
        self.assertTrue([it for it in self.things() if it.name.endswith((": passed", ": failed"))])

    def test_the_first_run_asks_for_consent(self):
        self.asking()
        self.window()
        self.shown("label", "Be warned, and warn others")
        self.shown("button", "Next").act()
        self.shown("label", "What others learn")
        self.shown("button", "Next").act()
        self.shown("label", "Whom it concerns")
        self.picture("welcome")
        self.shown("button", "Turn on").act()
        self.until_watched(self.tcnd_bus, '"state":"running"')
        self.shown("label", "On the air")

    def test_reasons_of_others_are_text(self):
        self.consenting()
        self.tcnctl("pause", "30min", "--reason", REASON)
        self.window()
        self.shown("label", "A pause with the reason “<b>x</b>&amp;   end”")

    def test_a_report_is_made_and_listed(self):
        self.consenting()
        self.window()
        self.shown("label", "On the air")
        self.key("alt+4")
        self.shown("button", "Begin").act()
        self.shown("label", "1 of 3: What a report would give away")
        self.shown("button", "Continue").act()
        self.shown("label", "2 of 3: What you feel")
        for name in ("no symptoms", "dry cough"):
            self.press(self.shown("checkbox", name), "space")
        self.shown("button", "Continue").act()
        self.shown("label", "“No symptoms” cannot be combined with other symptoms.")
        self.press(self.shown("checkbox", "no symptoms"), "space")
        self.shown("button", "Continue").act()
        self.shown("label", "dry cough")
        self.shown("button", "Make the report").act()
        self.shown("label", "Reports of this computer")
        self.until("the report", lambda: json.loads(self.tcnctl("report", "list", "--json")))
        self.shown("button", "Save to a file… Hand it out yourself")
        self.picture("report")


class Absence(WindowTest):
    def test_tcnd_comes_restarts_and_is_silent(self):
        self.window()
        self.shown("label", "Contact tracing is not running")
        tcnd = self.asking()
        self.tcnctl("enable")
        self.shown("label", "On the air")
        self.end(tcnd)
        self.shown("label", "Contact tracing is not running")
        tcnd = self.asking(state="running")
        self.shown("label", "On the air")
        tcnd.send_signal(signal.SIGSTOP)
        self.addCleanup(tcnd.send_signal, signal.SIGCONT)
        self.key("alt+3")
        self.shown("label", "Not known")
        self.key("alt+1")
        self.shown("button", "Test now")

    def test_a_bus_that_cannot_be_reached(self):
        self.tcnd_bus = f"unix:path={self.work}/none"
        self.window()
        self.shown("label", "The message bus cannot be reached")


class Exposures(WindowTest):
    def opened(self, file):
        """What the running window says of a file that a second process opens."""
        printed(PROGRAMS / "tcnd-window", "--bus", self.tcnd_bus, file, env=self.environment)
        self.shown("label", "Reports of others", "dialog")
        [says] = [it.name for it in self.things() if it.name.startswith(Path(file).name)]
        self.shown("button", "Close", "dialog").act()
        self.gone("dialog")
        return says

    def report(self, bus, name):
        self.tcnctl("report", "create", "--symptoms", "dry-cough", "--yes", bus=bus)
        self.tcnctl("report", "export", "1", self.work / name, bus=bus)
        return self.work / name

    def neighbours(self):
        """The reports of a neighbour and of a stranger."""
        street, neighbour, stranger = self.work / "street", self.bus(), self.bus()
        street.mkdir()
        self.tcnd(self.tcnd_bus, self.work / "tcnd", radio=f"fake:{street}")
        self.tcnd(neighbour, self.work / "neighbour", radio=f"fake:{street}")
        self.tcnd(stranger, self.work / "stranger")
        self.until("a contact", lambda: json.loads(self.tcnctl("contacts", "--json"))["numbers"])
        return self.report(neighbour, "met.tcn"), self.report(stranger, "not.tcn")

    def test_only_their_page_tells_of_exposures(self):
        met, other = self.neighbours()
        self.window()
        self.shown("label", "On the air")
        # It has not matched anything yet.
        says = self.opened(other).replace("not.tcn", "met.tcn")
        self.assertEqual(self.opened(met), says)
        for word in ("New", " near, "):
            self.assertFalse([it for it in self.things() if word in it.name.split() or word in it.name], word)
        self.key("alt+3")
        self.shown("label", "New")
        self.open_row("day, ")
        self.picture("exposures")
        self.assertEqual(self.root().children()[0].name, "Contact Tracing")
        self.press(self.shown("button", "Seen Mark it as seen"), "space")
        self.until("no news", lambda: self.absent("label", "New"))
        self.open_row("day, ")
        self.press(self.shown("button", "Do not show again Take it off this list"), "space")
        self.shown("label", EMPTY)
        for at, page in enumerate(("status", "encounters")):
            self.key(f"alt+{at + 1}")
            self.shown("label", PAGES[page])
            self.picture(page)

    def test_what_is_no_report_is_named(self):
        self.consenting()
        self.window()
        self.shown("label", "On the air")
        garbage = self.work / "<b>garbage.tcn"
        garbage.write_bytes(os.urandom(4096))
        for file in (garbage, self.work, self.work / "missing.tcn"):
            says = self.opened(file)
            self.assertTrue("not" in says or "no report" in says, says)

    def test_a_locked_session_hides_them(self):
        met, _ = self.neighbours()
        self.tcnctl("report", "import", met)
        lock = self.logind()
        self.window()
        self.shown("label", "On the air")
        self.key("alt+3")
        self.shown("label", "New")
        lock(True)
        self.shown("label", "Hidden")
        self.assertTrue(self.absent("label", "New"))
        self.assertFalse([it for it in self.things() if " near, " in it.name])
        lock(False)
        self.shown("button", "Show").act()
        self.shown("label", "New")


class Looks(WindowTest):
    def each_page(self, faults, name, **more):
        """Show each page: there is a picture of it, soon after its tree, in which nothing is wrong."""
        self.consenting()
        self.window(**more)
        self.shown("label", "On the air")
        for at, (page, words) in enumerate(PAGES.items()):
            self.key(f"alt+{at + 1}")
            self.shown("label", words)
            found = []

            def right():
                found[:] = faults(self.picture(f"{page}-{name}"))
                return not found

            with self.subTest(page=page, faults=found):
                self.until("a picture without faults", right)

    def unreadable(self, picture):
        """The labels with too little contrast."""
        pixels = Pixels(picture)
        contrasts = ((label, pixels.contrast(box)) for label, box in self.labels())
        return [(label, contrast) for label, contrast in contrasts if contrast < READABLE]

    def cut_off(self, _picture):
        """The labels that are not on the screen."""
        width = min(self.size()[0], int(self.screen.split("x")[0]))
        return [label for label, (left, _, across, _) in self.labels() if left < 0 or left + across > width]

    def test_light(self):
        self.each_page(self.unreadable, "light")

    def test_dark(self):
        self.each_page(self.unreadable, "dark", ADW_DEBUG_COLOR_SCHEME="prefer-dark")

    def test_high_contrast(self):
        self.each_page(self.unreadable, "high-contrast", ADW_DEBUG_HIGH_CONTRAST="1")

    def test_narrow(self):
        self.screen = "320x480"
        self.each_page(self.cut_off, "narrow")

    def test_right_to_left(self):
        self.each_page(self.cut_off, "rtl", LANGUAGE="he")
        first, last = (self.found("tab", title) for title in ("Status", "Report"))
        self.assertGreater(first.box()[0], last.box()[0])

    def test_without_icons(self):
        self.each_page(self.cut_off, "no-icons", XDG_DATA_DIRS=str(self.work))


if __name__ == "__main__":
    unittest.main()
