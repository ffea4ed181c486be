#!/usr/bin/python3
"""The page of a kiosk in a real browser, as tcnd-kiosk writes it.

The real tcnd with the simulated radio is on a private bus. The pages have settings of the greatest
length. A browser draws each on three screens: nothing may be cut off, and a phone must be able to read
the QR code. The pictures are kept in target/screens. TCND_PROGRAMS names the folder of the programs,
which is target/debug if it is not set. Needs chromium, dbus, python3-html5lib, xvfb, x11-apps,
imagemagick and zbar-tools.
"""

import os
import re
import subprocess
import tempfile
import unittest
from pathlib import Path

import html5lib

from desktop import KEPT, PROGRAMS, ScreenTest, printed

SCREENS = ((1280, 720), (1024, 600), (720, 1280))
QUESTIONS = "W" * 160
EXPLANATION = "https://www.example.org/" + "w" * 56
BROWSER = ("chromium", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--no-first-run")
# Appended to a copy of the page, which lets it run: what is larger than the window.
PROBE = """<script>addEventListener("load", () => {
  const over = [...document.querySelectorAll("body *")].filter(it => {
    const box = it.getBoundingClientRect();
    return box.bottom > innerHeight + 1 || box.right > innerWidth + 1 || it.scrollWidth > it.clientWidth + 1 && it.clientWidth;
  });
  document.title = `size ${innerWidth}x${innerHeight}, over: ${over.map(it => it.tagName).join(" ")};`;
})</script>"""


class Kiosk(ScreenTest):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.work = Path(folder.name)
        self.address = self.bus()
        (self.work / "kiosk.toml").write_text(f'questions = "{QUESTIONS}"\nexplanation = "{EXPLANATION}"\n')
        # A browser without a screen takes part of the height for a frame, except for a picture.
        (self.work / "empty.html").write_text(f"<!DOCTYPE html><body>{PROBE}")
        self.frame = 0
        self.frame = 500 - int(re.search("size 500x([0-9]+)", self.drawn(self.work / "empty.html", 500, 500))[1])

    def drawn(self, page, width, height):
        """What a browser prints of a page in a window of this size, inside its frame."""
        size = f"--window-size={width},{height + self.frame}"
        return printed(*BROWSER, "--headless", size, "--dump-dom", f"file://{page}")

    def page(self, name):
        """The page as it is now."""
        path = self.work / f"{name}.html"
        command = [PROGRAMS / "tcnd-kiosk", "--bus", self.address, "--config", self.work / "kiosk.toml", "--output", path]
        printed(*command, env=os.environ | {"TZ": "UTC"})
        return path

    def holds(self, name):
        """The page is HTML, and fits each screen with all that is on it."""
        path = self.page(name)
        html5lib.HTMLParser(strict=True).parse(path.read_text())
        probe = path.with_suffix(".probe.html")
        text = re.sub(r"<meta http-equiv=.*>\n", "", path.read_text())
        probe.write_text(text.replace("</body>", PROBE + "</body>"))
        for width, height in SCREENS:
            with self.subTest(page=name, screen=f"{width}x{height}"):
                [title] = re.findall("<title>(.*?)</title>", self.drawn(probe, width, height))
                self.assertEqual(title, f"size {width}x{height}, over: ;")
                picture = KEPT / f"kiosk-{name}-{width}x{height}.png"
                size = f"--window-size={width},{height}"
                printed(*BROWSER, "--headless", size, f"--screenshot={picture}", f"file://{path}")
                self.assertEqual(printed("zbarimg", "--quiet", "--raw", picture).strip(), EXPLANATION)

    def test_without_tcnd(self):
        self.holds("absent")

    def test_broadcast(self):
        self.tcnd(self.address, self.work / "broadcast", 'mode = "broadcast"\n')
        self.holds("broadcast")

    def test_full(self):
        self.tcnd(self.address, self.work / "full", 'mode = "full"\n')
        self.holds("full")

    def test_relay(self):
        self.tcnd(self.address, self.work / "relay", 'mode = "relay"\n')
        self.holds("relay")

    def test_a_running_browser_shows_a_page_that_was_written_again(self):
        path = self.page("again")
        environment = os.environ | {"DISPLAY": self.display("1280x720")}
        self.start(*BROWSER, "--kiosk", f"--user-data-dir={self.work / 'profile'}", f"file://{path}", env=environment)
        self.until("the page", lambda: corner(environment) == "16,33,45")
        path.write_text(path.read_text().replace("background: #10212d", "background: #800000"))
        self.until("the new page", lambda: corner(environment) == "128,0,0")


def corner(environment):
    """The colour near the corner of a screen, inside a window that a missing window manager has not moved there."""
    picked = ",".join(f"%[fx:int(255*p{{30,30}}.{part})]" for part in "rgb")
    shot = subprocess.run(f"xwd -root -silent | convert xwd:- -format '{picked}' info:-", shell=True, env=environment,
                          capture_output=True, text=True)
    return shot.stdout


if __name__ == "__main__":
    unittest.main()
