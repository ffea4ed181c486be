"""Runs the scenarios in the guest and reports on standard output, a line of JSON each.

    python3 bench.py FILE      FILE: the names of the scenarios to run, one a line

Several airs follow one another in one boot, because booting is the slowest step: Bumble's extended
controllers, the same with a bluetoothd that has privacy, then btvirt's legacy one without and with
privacy. On each air, bluetoothd and the installed tcnd are restarted. An air that fails to start fails
every scenario that needs it, by name: no scenario is silently left out.
"""

import json
import os
import subprocess
import sys
import time
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import dataclass, replace

from daemon import (ADDRESS_TIMEOUT, BROADCAST, FULL, RPA_TIMEOUT, TIMEOUT_STEP, Installed, Second, Way, dropped_in,
                    shorter_addresses)
from scenarios import SCENARIOS
from world import MAIN_CONF, PRIVACY, SET_UP_WITHIN, AirProcess, Failed, RESULTS, World, set_rpa_timeout, systemctl, written
import judge
import people  # importing these five adds their scenarios to the list
import reports
import phones
import exchange
import keyboard


@dataclass(frozen=True)
class Air:
    """What a group of scenarios finds: controllers, and how the daemon runs on them."""

    legacy: bool = False
    private: bool = False  # BlueZ has privacy, and the daemon may ask the kernel about it
    ll_privacy: bool = False  # the controllers can make private addresses themselves
    way: Way = BROADCAST
    rpa_timeout: int | None = None  # seconds for which the kernel keeps a resolvable private address; else 900
    tolerated: tuple = ()  # problems that belong to this air


# In the order in which they run.
AIRS = {
    "extended": Air(),
    # Here tcnd waits for the kernel to change the address before it listens or airs its first number.
    "private": Air(private=True, way=FULL, rpa_timeout=RPA_TIMEOUT),
    "legacy": Air(legacy=True),
    "private-legacy": Air(legacy=True, private=True, way=FULL, rpa_timeout=RPA_TIMEOUT, tolerated=("bridge-unavailable",)),
    # The same with a controller that makes the addresses itself, if the kernel lets it.
    # tcnd listens in windows, so that each window is a chance to link two numbers.
    "private-controller": Air(private=True, ll_privacy=True, way=replace(FULL, listen="windows"), rpa_timeout=RPA_TIMEOUT),
}


def report(**facts):
    """One line for the host."""
    print(json.dumps(facts), flush=True)


class Bench:
    """The argument of each scenario."""

    ALPHA, BRAVO = "00:1A:7D:00:00:0A", "00:1A:7D:00:00:0B"

    def __init__(self):
        self.world = World()
        self.wait = self.world.wait
        self.tcnd = Installed(self.world)
        self.air = self.btvirt = self.up = None
        self.began, self.address, self.broken = 0.0, None, {}
        self.changes = ExitStack()  # what an air changed in the machine

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
        """Seconds it took to fall silent; None while a frame of this machine is on the air."""
        return judge.off_air_after(self.world.airings(self.address), moment, self.now())

    def start_second(self, way=BROADCAST):
        """A second daemon on the second controller."""
        second = Second(self.world)
        second.start(self.BRAVO, way)
        return second

    @contextmanager
    def stopped(self):
        """Without the daemon for a while, or with one that was started meanwhile."""
        self.tcnd.stop()
        try:
            yield
        finally:
            self.tcnd.stop()
            self.begin()

    @contextmanager
    def another_way(self, way, permitted=False):
        """Run the daemon in another way for a while, perhaps with the drop-in; yields the moment of its start."""
        with self.stopped(), dropped_in() if permitted else nullcontext():
            moment = self.now()
            self.tcnd.start(self.address, way)
            self.wait("tcnd on its bus", lambda: self.tcnd.watched.values, SET_UP_WITHIN)
            yield moment

    @contextmanager
    def reloaded(self, way):
        """Run the daemon in another way for a while, from its next number on and without a restart."""
        usual, since = AIRS[self.up].way, self.now()
        self.tcnd.reload(self.address, way)
        try:
            self.wait("the next number", lambda: judge.rotations(judge.own(self.world.airings(self.address, since))), SET_UP_WITHIN)
            yield
        finally:
            self.tcnd.reload(self.address, usual)

    # ---- the airs

    def ensure(self, air):
        """Set this air up, with a healthy daemon on it; an air that failed once is not tried again."""
        if air in self.broken:
            raise Failed(f"did not run, for want of its air: {self.broken[air]}")
        if self.up == air:
            return
        self.down()
        self.up = air
        try:
            self.build(AIRS[air])
            self.begin()
        except (Failed, OSError) as failure:
            self.broken[air] = str(failure)
            raise

    def build(self, air):
        """The air, and the files that it needs."""
        if air.private:
            self.changes.enter_context(written(MAIN_CONF, PRIVACY))
            self.changes.enter_context(dropped_in())
        self.legacy() if air.legacy else self.extended(air.ll_privacy)
        if air.rpa_timeout:  # before the kernel makes its first address
            set_rpa_timeout(self.world.trace.index_of(self.address), air.rpa_timeout)
        if air.ll_privacy:
            self.changes.enter_context(shorter_addresses())
            self.shorten_addresses()

    def shorten_addresses(self):
        """Run the step of the drop-in while the controller is off, so that no address is in use that
        lasts for a quarter of an hour."""
        self.world.bluez.set(self.address, "Powered", False)
        self.wait("BlueZ to switch it off", lambda: not self.world.bluez.powered(self.address), SET_UP_WITHIN)
        name = f"hci{self.world.trace.index_of(self.address)}"
        done = subprocess.run([TIMEOUT_STEP, "--seconds", str(ADDRESS_TIMEOUT), name], capture_output=True, text=True)
        report(kind="note", text=(done.stdout + done.stderr).strip())
        if done.returncode:
            raise Failed(f"{TIMEOUT_STEP}: {done.stderr.strip()}")
        self.world.bluez.set(self.address, "Powered", True)
        self.have_bluez(self.address)

    def extended(self, ll_privacy):
        """Two controllers and a phone."""
        self.address = self.ALPHA
        self.air = AirProcess(self.world.loop)
        for name in ("alpha", "bravo"):
            self.air.order("plug", name=name, ll_privacy=ll_privacy)
        self.air.order("phone")
        self.have_bluez(self.ALPHA, self.BRAVO)

    def legacy(self):
        """One controller without extended advertising."""
        with open(f"{RESULTS}/btvirt.txt", "w") as output:
            self.btvirt = subprocess.Popen(["btvirt", "-L", "-l1"], stdout=output, stderr=output)
        systemctl("start", "bluetooth.service")
        self.address = self.wait("btvirt's adapter", self.newcomer, SET_UP_WITHIN)
        self.have_bluez(self.address)

    def newcomer(self):
        """The address of the adapter that is not one of Bumble's; btvirt chooses it."""
        addresses = (str(values.get("Address", "")) for values in self.world.bluez.adapters.values())
        return next((a for a in addresses if a and a not in (self.ALPHA, self.BRAVO)), None)

    def have_bluez(self, *addresses):
        systemctl("start", "bluetooth.service")
        for address in addresses:
            self.wait(f"BlueZ to power {address}", lambda a=address: self.world.bluez.powered(a), SET_UP_WITHIN)

    def begin(self, way=None):
        """Start the installed daemon, unless told how as this air has it, and wait until it is on the air."""
        air = AIRS[self.up]
        self.began = self.now()
        self.tcnd.start(self.address, way or air.way)
        self.wait("tcnd on its bus", lambda: self.tcnd.watched.values, SET_UP_WITHIN)
        self.wait("our advert on the air", lambda: judge.ours(self.world.airings(self.address, self.began)), SET_UP_WITHIN)
        self.wait("tcnd to be well", lambda: self.tcnd.watched.well(air.tolerated), SET_UP_WITHIN)

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
        self.changes.close()
        self.air = self.btvirt = self.up = None


def run(bench, name, air, function):
    """Run one scenario and report its verdict."""
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
    for name, air, function in sorted(SCENARIOS, key=lambda entry: list(AIRS).index(entry[1])):  # each air once
        if name in wanted:
            run(bench, name, air, function)
    bench.down()
    bench.world.monitor.close()
    report(kind="end")


if __name__ == "__main__":
    main(sys.argv[1])
