#!/usr/bin/python3
"""The page of a kiosk in a real browser, as tcnd-kiosk writes it.

    tests/screens/kiosk.py [PROGRAMS]      PROGRAMS: where the programs are, target/debug if not given

The real tcnd with the simulated radio is on a private bus. The pages have settings of the greatest
length. A browser draws each on three screens: nothing may be cut off, and a phone must be able to read
the QR code. The pictures are kept in target/screens. Needs chromium, dbus, python3-html5lib, xvfb,
x11-apps, imagemagick and zbar-tools.
"""

import os
import re
import signal
import subprocess
import sys
import tempfile
import time
import unittest
from pathlib import Path

import html5lib

PROJECT = Path(__file__).resolve().parents[2]
PROGRAMS = PROJECT / "target" / "debug"
KEPT = PROJECT / "target" / "screens"
SCREENS = ((1280, 720), (1024, 600), (720, 1280))
QUESTIONS = ("Wanda " * 27)[:160].strip()
EXPLANATION = "https://www.example.org/" + "w" * 56
BROWSER = ("chromium", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--no-first-run")
# Appended to a copy of the page, which lets it run: what is larger than the window.
PROBE = """<script>addEventListener("load", () => {
  const root = document.documentElement;
  const over = [...document.querySelectorAll("body *")].filter(it => {
    const box = it.getBoundingClientRect();
    return box.bottom > innerHeight + 1 || box.right > innerWidth + 1 || it.scrollWidth > it.clientWidth + 1 && it.clientWidth;
  });
  document.title = `size ${innerWidth}x${innerHeight}, over: ${over.map(it => it.tagName).join(" ")};`;
})</script>"""


def printed(*command, **more):
    """The output of a command that must succeed."""
    return subprocess.run(command, check=True, capture_output=True, text=True, timeout=120, **more).stdout


class Kiosk(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        KEPT.mkdir(parents=True, exist_ok=True)
        folder = tempfile.TemporaryDirectory()
        cls.addClassCleanup(folder.cleanup)
        cls.work = Path(folder.name)
        bus = subprocess.Popen(["dbus-daemon", "--session", "--nofork", "--print-address"], stdout=subprocess.PIPE, text=True)
        cls.addClassCleanup(cls.end, bus)
        cls.address = bus.stdout.readline().strip()
        # A browser without a screen takes part of the height for a frame, except for a picture.
        (cls.work / "empty.html").write_text(f"<!DOCTYPE html><body>{PROBE}")
        cls.frame = 0
        cls.frame = 500 - int(re.search("size 500x([0-9]+)", cls.drawn(cls.work / "empty.html", 500, 500))[1])
        (cls.work / "kiosk.toml").write_text(f'questions = "{QUESTIONS}"\nexplanation = "{EXPLANATION}"\n')

    @staticmethod
    def end(process):
        process.send_signal(signal.SIGTERM)
        process.wait(60)
        if process.stdout:
            process.stdout.close()

    @classmethod
    def drawn(cls, page, width, height):
        """What a browser prints of a page in a window of this size, inside its frame."""
        size = f"--window-size={width},{height + cls.frame}"
        return printed(*BROWSER, "--headless", size, "--dump-dom", f"file://{page}")

    def tcnd(self, mode):
        """Start tcnd in a mode, and wait until it is at work; it ends with the test."""
        config = self.work / f"{mode}.toml"
        config.write_text(f'enabled = true\nmode = "{mode}"\n')
        command = [PROGRAMS / "tcnd", "--radio", "fake", "--bus", self.address, "--state-dir", self.work / mode, "--config", config]
        process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
        self.addCleanup(process.stderr.close)
        self.addCleanup(self.end, process)
        watch = subprocess.Popen([PROGRAMS / "tcnctl", "--bus", self.address, "watch", "--json"], stdout=subprocess.PIPE, text=True)
        self.addCleanup(watch.wait)
        self.addCleanup(watch.stdout.close)
        self.addCleanup(watch.kill)
        next(line for line in watch.stdout if '"state":"running"' in line)

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
        self.tcnd("broadcast")
        self.holds("broadcast")

    def test_full(self):
        self.tcnd("full")
        self.holds("full")

    def test_relay(self):
        self.tcnd("relay")
        self.holds("relay")

    def test_a_running_browser_shows_a_page_that_was_written_again(self):
        path = self.page("again")
        display = subprocess.Popen(["Xvfb", "-displayfd", "1", "-screen", "0", "1280x720x24"], stdout=subprocess.PIPE, text=True)
        self.addCleanup(self.end, display)
        environment = os.environ | {"DISPLAY": f":{display.stdout.readline().strip()}"}
        profile = f"--user-data-dir={self.work / 'profile'}"
        browser = subprocess.Popen([*BROWSER, "--kiosk", profile, f"file://{path}"], env=environment,
                                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.addCleanup(self.end, browser)
        self.until_corner_is(environment, "16,33,45")
        path.write_text(path.read_text().replace("background: #10212d", "background: #800000"))
        self.until_corner_is(environment, "128,0,0")

    def until_corner_is(self, environment, colour):
        """Wait until the screen's corner has a colour; a browser tells nobody when it has drawn."""
        end = time.monotonic() + 90
        while time.monotonic() < end:
            shot = subprocess.run("xwd -root -silent | convert xwd:- -format '%[fx:int(255*p{30,30}.r)],%[fx:int(255*p{30,30}.g)],%[fx:int(255*p{30,30}.b)]' info:-",
                                  shell=True, env=environment, capture_output=True, text=True)
            if shot.stdout == colour:
                return
            time.sleep(0.5)
        self.fail(f"the corner is {shot.stdout}, not {colour}: {shot.stderr}")


if __name__ == "__main__":
    if len(sys.argv) > 1 and not sys.argv[1].startswith("-"):
        PROGRAMS = Path(sys.argv.pop(1)).resolve()
    unittest.main()
