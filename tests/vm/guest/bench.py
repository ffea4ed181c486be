"""Runs the scenarios in the guest and reports on standard output, a line of JSON each.

    python3 bench.py FILE      FILE: the names of the scenarios to run, one a line

Two airs follow one another in one boot, for booting is the slowest thing here: first Bumble's
extended controllers, then btvirt's legacy one. On each, bluetoothd and the installed tcnd are
started afresh. What fails to start fails every scenario that needed it, by name: nothing is
silently left out.
"""

import json
import os
import subprocess
import sys
import time

from daemon import Installed, Second
from scenarios import BACK_WITHIN, SCENARIOS
from world import AirProcess, Failed, RESULTS, World, systemctl
import judge
import people  # enters its scenarios into the list
import reports  # and so does this


def report(**facts):
    """One line for the host."""
    print(json.dumps(facts), flush=True)


class Bench:
    """What the scenarios are given."""

    ALPHA, BRAVO = "00:1A:7D:00:00:0A", "00:1A:7D:00:00:0B"

    def __init__(self):
        self.world = World()
        self.wait = self.world.wait
        self.tcnd = Installed(self.world)
        self.air = self.btvirt = self.up = None
        self.began, self.address, self.broken = 0.0, None, {}

    # ---- what a scenario asks

    def now(self):
        """The time in the trace's terms."""
        return time.time()

    def figure(self, text):
        report(kind="figure", text=text)

    def problems(self, since):
        """The problems named since a moment."""
        return self.tcnd.watched.problems_since(since)

    def silent_since(self, moment):
        """Seconds it took to fall silent; None while something of ours is on the air."""
        return judge.off_air_after(self.world.airings(self.address), moment, self.now())

    def start_second(self):
        """A second daemon on the second controller."""
        second = Second(self.world)
        second.start(self.BRAVO)
        return second

    # ---- the two airs

    def ensure(self, air):
        """Have this air up with a well daemon on it; one that could not be had once is not tried again."""
        if air in self.broken:
            raise Failed(f"did not run, for want of its air: {self.broken[air]}")
        if self.up == air:
            return
        self.down()
        self.up = air
        try:
            {"extended": self.extended, "legacy": self.legacy}[air]()
            self.begin()
        except (Failed, OSError) as failure:
            self.broken[air] = str(failure)
            raise

    def extended(self):
        """Two controllers and a phone."""
        self.address = self.ALPHA
        self.air = AirProcess(self.world.loop)
        for name in ("alpha", "bravo"):
            self.air.order("plug", name=name)
        self.air.order("phone")
        self.have_bluez(self.ALPHA, self.BRAVO)

    def legacy(self):
        """One controller without extended advertising."""
        with open(f"{RESULTS}/btvirt.txt", "w") as output:
            self.btvirt = subprocess.Popen(["btvirt", "-L", "-l1"], stdout=output, stderr=output)
        systemctl("start", "bluetooth.service")
        self.address = self.wait("btvirt's adapter", self.newcomer, 60)
        self.have_bluez(self.address)

    def newcomer(self):
        """The address of the adapter that is none of the Bumble ones; btvirt chooses it."""
        addresses = (str(values.get("Address", "")) for values in self.world.bluez.adapters.values())
        return next((a for a in addresses if a and a not in (self.ALPHA, self.BRAVO)), None)

    def have_bluez(self, *addresses):
        systemctl("start", "bluetooth.service")
        for address in addresses:
            self.wait(f"BlueZ to power {address}", lambda a=address: self.world.bluez.powered(a), 60)

    def begin(self):
        """Start the installed daemon and wait until it is on the air."""
        self.began = self.now()
        self.tcnd.start(self.address)
        self.wait("tcnd on its bus", lambda: self.tcnd.watched.values, BACK_WITHIN)
        self.wait("our advert on the air", lambda: judge.ours(self.world.airings(self.address, self.began)), BACK_WITHIN)
        self.wait("tcnd to be well", self.tcnd.watched.well, BACK_WITHIN)

    def down(self):
        """Take the present air down."""
        if not self.up:
            return
        self.tcnd.stop()
        systemctl("stop", "bluetooth.service")
        if self.air:
            self.air.end()
        if self.btvirt:
            self.btvirt.terminate()
            self.btvirt.wait()
        self.air = self.btvirt = self.up = None


def run(bench, name, air, function):
    """One scenario, to its verdict."""
    begin = time.monotonic()
    try:
        bench.ensure(air)
        verdict = {"passed": True, "facts": function(bench)}
    except Failed as failure:
        verdict = {"passed": False, "facts": f"{failure} [tcnd: {bench.tcnd.watched.account()}]"}
    except Exception as error:  # a broken bench is a failed scenario, not a missing one
        verdict = {"passed": False, "facts": f"the bench broke: {type(error).__name__}: {error}"}
    report(kind="scenario", name=name, seconds=round(time.monotonic() - begin, 1), **verdict)


def main(wanted_file):
    with open(wanted_file) as file:
        wanted = set(file.read().split())
    with open("/proc/uptime") as file:
        report(kind="note", text=f"guest up after {file.read().split()[0]} s")
    bench = Bench()
    for name, air, function in sorted(SCENARIOS, key=lambda entry: entry[1]):  # each air once
        if name in wanted:
            run(bench, name, air, function)
    bench.down()
    bench.world.monitor.close()
    report(kind="end")


if __name__ == "__main__":
    main(sys.argv[1])
