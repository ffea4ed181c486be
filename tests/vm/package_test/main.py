"""The package test, in the guest: runs the steps of this boot and reports on standard output, a line of JSON each.

    main.py      the machine and the number of its boot are on the kernel's command line, as
                 package_test.bus=NAME and package_test.boot=N

The machine contains nothing of this project except what the packages install; this program and its
modules stay on the payload disk. KEEP holds what a later boot has to know of an earlier one.

A step that fails is reported, and the next one runs: each has its deadlines. Only if the machine is not
fresh, or a package cannot be installed, the other steps are pointless; then the machine ends without an
`end`.
"""

import json
import os
import time

import judge
import bus
import life
import package
import plan
from daemon import Watched
from people import have_people
from scenarios import BACK_WITHIN
from world import SET_UP_WITHIN, AirProcess, Failed, World

KEEP = "/var/lib/bench"
VITAL = {"fresh", "install"}


def report(**facts):
    """One line for the host."""
    print(json.dumps(facts), flush=True)


class PackageTest:
    """The argument of each step."""

    ADAPTER = "00:1A:7D:00:00:0A"
    KEEP = KEEP

    def __init__(self, kind):
        self.bus = kind
        self.world = World()
        self.wait = self.world.wait
        self.watched = Watched(self.world.bus)
        os.makedirs(KEEP, exist_ok=True)

    def now(self):
        """The time in the trace's terms."""
        return time.time()

    def figure(self, text):
        report(kind="figure", text=text)

    def plug(self):
        """Plug a controller in and put a phone nearby, as in daily use; BlueZ starts by itself."""
        self.air = AirProcess(self.world.loop)
        self.air.order("plug", name="alpha")
        self.air.order("phone")
        self.wait("BlueZ to power the adapter", lambda: self.world.bluez.powered(self.ADAPTER), SET_UP_WITHIN)

    def airings(self, since=0.0):
        """Our airings since a moment."""
        return judge.ours(self.world.airings(self.ADAPTER, since))

    def silent_since(self, moment):
        """Seconds it took to fall silent; None while an own frame is on the air."""
        return judge.off_air_after(self.world.airings(self.ADAPTER), moment, self.now())

    def new_on_air(self, since):
        """Wait until tcnd is on the air, healthy, and with a number that is newer than this moment."""
        def fresh():
            return [a for a in self.airings(since) if a.start >= since]
        self.wait(f"our advert on the air ({self.watched.account()})", fresh, BACK_WITHIN)
        self.wait("tcnd to be well", self.watched.well, BACK_WITHIN)
        return fresh()

    def say(self, name):
        """A property of tcnd from its signals, without a call; None while it is not on the bus."""
        return self.watched.values.get(name)

    def keep(self, name, value):
        """Remember something for a later step, perhaps of a later boot."""
        with open(f"{KEEP}/{name}.json", "w") as file:
            json.dump(value, file)

    def kept(self, name):
        with open(f"{KEEP}/{name}.json") as file:
            return json.load(file)


def find(step):
    """The function of a step."""
    function = step.replace("-", "_")
    return next(getattr(module, function) for module in (package, bus, life) if hasattr(module, function))


def run(test, name, function):
    """Run one step and report its verdict."""
    begin = time.monotonic()
    try:
        verdict = {"passed": True, "facts": function(test)}
    except Failed as failure:
        verdict = {"passed": False, "facts": f"{failure} [tcnd: {test.watched.account()}]"}
    except Exception as error:  # a broken step function is a failed step, not a missing one
        verdict = {"passed": False, "facts": f"the package test broke: {type(error).__name__}: {error}"}
    report(kind="scenario", name=name, seconds=round(time.monotonic() - begin, 1), **verdict)
    return verdict["passed"]


def words():
    """The kernel's command line."""
    with open("/proc/cmdline") as file:
        return dict(word.partition("=")[::2] for word in file.read().split())


def main():
    bus, boot = words()["package_test.bus"], int(words()["package_test.boot"])
    boots = plan.MACHINES[bus]
    with open("/proc/uptime") as file:
        report(kind="note", text=f"{bus}, boot {boot + 1}: guest up after {file.read().split()[0]} s")
    test = PackageTest(plan.UNITS[bus])
    have_people()
    test.plug()
    for step, name in zip(boots[boot], plan.names(bus, boot)):
        if not run(test, name, find(step)) and step in VITAL:
            return
    test.air.end()
    test.world.monitor.close()
    if boot + 1 < len(boots):  # go down in order, for the next boot
        with open("/run/bench/reboot", "w"):
            pass
    report(kind="end")


if __name__ == "__main__":
    main()
