"""The scenarios: what the bench requires of tcnd, each judged from outside tcnd.

A scenario is a function whose docstring says what it shows. It returns a sentence of facts for the
report, or raises Failed. Its `on` says which air it needs. "extended" is two Bumble controllers and a
phone. "legacy" is one controller of BlueZ's own btvirt, which has no extended advertising, like a
Raspberry Pi. "private" and "private-legacy" are the same with a BlueZ that has privacy and a tcnd in
full mode; in "private-controller" the controller makes the addresses. The runner sets the air up and
keeps one daemon running on it, so each scenario finds tcnd healthy and must leave it healthy.
"""

import os
import signal

from dbus import DBusException as BusError

import judge
import windowtimes
from daemon import IN_USE, PERIOD, Way, contacts
from world import Failed, cpu_seconds, main_pid, resident_kib, systemctl

ROTATIONS = 8
BACK_WITHIN = 30  # seconds within which tcnd is back on the air by itself
AT_ONCE = 3  # seconds within which an advert is gone, under emulation
NOTICED_WITHIN = 15  # seconds within which a problem is reported
MEETING = 60  # seconds within which two log each other

PHONE_TCN = bytes.fromhex("5b3975651c3cab92d044c096dc30a1c2")
PHONE_RSSI = -61
PHONE_INTERVAL = 500  # ms, while nothing is measured
WINDOWS_TCN = bytes.fromhex("1f0e6bd2c84a4b7b9d6c0f2a77e5b813")
WINDOWS_PERIOD = 36  # seconds a number lasts there: enough for two windows to begin
WINDOWS_ROTATIONS = 3  # of each of two daemons
WINDOW, SHORTEST_PAUSE, LONGEST_PAUSE = 5, 18, 23  # seconds, of the cadence "windows"
SLOW_START = 4  # seconds that a controller takes under emulation to start or stop
FLOOD_TCN = bytes.fromhex("48c237a66a8369dfdf5c7f60f56a91bf")
FLOOD_INTERVAL = 50  # ms
FLOOD_REPORTS = 400

AIM_RESIDENT_KIB = 8 * 1024
AIM_CPU_SHARE = 0.10

# The problem that tcnd must report for each fault of the radio.
NO_BLUETOOTHD = "bluetoothd-missing"
NO_ADAPTER = "adapter-missing"
ADAPTER_OFF = "adapter-off"
EXPOSED = "address-not-private"

SCENARIOS = []


# The suites on which a change has to pass a scenario; a release has to pass each on all of them.
# EVERY: the result differs, or has differed, from one Debian to the next. TESTING: only the kernel there
# does what the scenario is about, and on the others it repeats what full-rotation shows. RELEASE: it measures
# more than it judges. So do flood and others, whose figures mean little before a release, of programs that are
# not optimised; Debian 13 keeps them.
STABLE, EVERY, TESTING, RELEASE = ("trixie",), ("bookworm", "trixie", "forky"), ("forky",), ()


def scenario(on, name, suites=STABLE):
    """Add a function to the list. The host reads `suites`."""
    def enter(function):
        SCENARIOS.append((name, on, function))
        return function
    return enter


def acquit(*verdicts):
    """Fail with the first few faults, if there are any."""
    faults = [fault for verdict in verdicts for fault in verdict]
    if faults:
        more = f" (and {len(faults) - 3} more)" if len(faults) > 3 else ""
        raise Failed("; ".join(faults[:3]) + more)


def tcns(airings):
    """The numbers aired."""
    return {judge.tcn_of(a.data) for a in airings} - {None}


@scenario("extended", "meet")
def meet(bench):
    """Two tcnd on two controllers log each other."""
    second = bench.start_second()
    try:
        def logged(state_dir, address):
            return tcns(bench.world.airings(address)) & contacts(state_dir).keys()
        bench.wait("the second daemon to be well", second.watched.well, BACK_WITHIN)
        bench.wait("the first to log the second", lambda: logged(bench.tcnd.state_dir, bench.BRAVO), MEETING)
        bench.wait("the second to log the first", lambda: logged(second.state_dir, bench.ALPHA), MEETING)
        for own, address in ((bench.tcnd, bench.ALPHA), (second, bench.BRAVO)):
            if logged(own.state_dir, address):
                raise Failed(f"a daemon logged a number of its own ({address})")
        acquit(judge.everywhere(bench.world.airings(bench.BRAVO)))
        return (f"{len(logged(bench.tcnd.state_dir, bench.BRAVO))} and "
                f"{len(logged(second.state_dir, bench.ALPHA))} numbers of the other logged")
    finally:
        second.stop()


@scenario("extended", "phone", suites=EVERY)
def phone(bench):
    """An Android-like peer is logged with its TCN and RSSI, hears our frame byte for byte, and crashes no bluetoothd."""
    before = main_pid("bluetooth.service")  # 5.87 crashes at a neighbour's advert if a program filters discovery by UUID
    bench.air.order("advertise", tcn=PHONE_TCN.hex(), interval=PHONE_INTERVAL, rssi=PHONE_RSSI)
    bench.wait("the phone's number to be logged", lambda: PHONE_TCN in contacts(bench.tcnd.state_dir), MEETING)
    strengths = contacts(bench.tcnd.state_dir)[PHONE_TCN]
    if not any(abs(s - PHONE_RSSI) <= 1 for s in strengths):
        raise Failed(f"logged with {strengths}, heard at {PHONE_RSSI} dBm")
    airings = bench.world.airings(bench.ALPHA)
    seen = [s for s in bench.air.sightings() if judge.tcn_of(s[1]) in tcns(airings)]
    right = [data for _, data in seen if data in judge.expected_frames(judge.tcn_of(data))]
    if not right or len(right) != len(seen):
        raise Failed(f"the phone heard {[data.hex() for _, data in seen]}")
    acquit(judge.heard(seen, airings))
    if main_pid("bluetooth.service") != before:
        raise Failed("bluetoothd did not survive the neighbour")
    return f"logged at {PHONE_RSSI} dBm; the phone heard {right[-1].hex()} ({len(right[-1])} bytes)"


def rotation(bench, address, begin, steady):
    """At least eight rotations on one controller, judged by all rules, and by one about how a number keeps
    its address. Too few rotations is the lesser fault: what was seen is judged first."""
    def airings():
        return bench.world.airings(address, begin)
    late = None
    try:
        bench.wait(f"{ROTATIONS} rotations", lambda: judge.rotations(airings()) >= ROTATIONS,
                   (ROTATIONS + 2) * (PERIOD + 3))
    except Failed as failure:
        late = failure
    index = bench.world.trace.index_of(address)
    scans = [s for s in bench.world.trace.scans if s.start >= begin and s.index == index]
    longest = PERIOD + 4  # a rotation takes a moment under emulation
    acquit(judge.everywhere(airings()), steady(airings(), scans),
           judge.one_tcn_a_scanner(scans, airings()), judge.period(airings(), longest, bench.now()))
    if late:
        raise late
    addresses = {a.address for a in judge.ours(airings())}
    return f"{judge.rotations(airings())} rotations, {len(tcns(airings()))} numbers, {len(addresses)} addresses"


@scenario("extended", "rotation-extended")
def rotation_extended(bench):
    """Number and address change together, over eight rotations on an extended controller."""
    facts = rotation(bench, bench.ALPHA, bench.began, lambda airings, _scans: judge.one_address_a_tcn(airings))
    acquit(judge.heard([s for s in bench.air.sightings() if judge.tcn_of(s[1]) in tcns(bench.world.airings(bench.ALPHA))],
                       bench.world.airings(bench.ALPHA)))
    return facts


def cost(bench, order, **how):
    """What many adverts of a phone cost: how many reports, processor seconds and KiB resident by program."""
    index = bench.world.trace.index_of(bench.ALPHA)
    pids = {"tcnd": bench.tcnd.pid(), "bluetoothd": main_pid("bluetooth.service")}
    with bench.reloaded(IN_USE):
        before = {name: cpu_seconds(pid) for name, pid in pids.items()}
        start = bench.world.trace.reports.get(index, 0)
        bench.air.order(order, interval=FLOOD_INTERVAL, rssi=PHONE_RSSI, **how)
        bench.wait(f"{FLOOD_REPORTS} advertising reports",
                   lambda: bench.world.trace.reports.get(index, 0) - start >= FLOOD_REPORTS, 120)
        reports = bench.world.trace.reports[index] - start
        spent = {name: cpu_seconds(pid) - before[name] for name, pid in pids.items()}
        resident = {name: resident_kib(pid) for name, pid in pids.items()}
    bench.air.order("advertise", tcn=PHONE_TCN.hex(), interval=PHONE_INTERVAL, rssi=PHONE_RSSI)
    return reports, spent, resident


@scenario("extended", "flood")
def flood(bench):
    """Resident memory and CPU of tcnd beside bluetoothd's over the same adverts."""
    reports, spent, resident = cost(bench, "advertise", tcn=FLOOD_TCN.hex())
    for name in spent:
        bench.figure(f"{name}: {resident[name] / 1024:.1f} MiB resident, {spent[name]:.2f} CPU s over {reports} "
                     f"adverts, {1000 * spent[name] / reports:.2f} ms an advert")
    share = spent["tcnd"] / max(spent["bluetoothd"], 0.01)
    aim(bench, "resident memory", resident["tcnd"] <= AIM_RESIDENT_KIB,
        f"{resident['tcnd'] / 1024:.1f} MiB, aim {AIM_RESIDENT_KIB / 1024:.0f} MiB")
    aim(bench, "CPU beside bluetoothd's", share <= AIM_CPU_SHARE, f"{share:.0%}, aim {AIM_CPU_SHARE:.0%}")
    bench.wait("the flood's number to be logged", lambda: FLOOD_TCN in contacts(bench.tcnd.state_dir), MEETING)
    return f"{reports} advertising reports"


@scenario("extended", "others")
def others(bench):
    """What the adverts of another service cost: next to nothing where BlueZ can filter by our service."""
    before = contacts(bench.tcnd.state_dir).keys()
    reports, spent, _ = cost(bench, "advertise-other")
    bench.figure(f"over {reports} adverts of another service: " + ", ".join(
        f"{name} {1000 * spent[name] / reports:.2f} ms an advert" for name in spent))
    if logged := contacts(bench.tcnd.state_dir).keys() - before - {PHONE_TCN, FLOOD_TCN}:
        raise Failed(f"another service's data was logged: {[tcn.hex() for tcn in logged]}")
    return f"{reports} advertising reports"


def aim(bench, what, met, figure):
    """Report an aim that is missed, with its figure; it is not a failure."""
    bench.figure(f"{what}: {figure} - {'met' if met else 'MISSED'}")


@scenario("extended", "windows")
def windows(bench):
    """Windows are short, no pause is long, a phone is heard, and neither address nor times of the scanner link two numbers."""
    way = Way(period=WINDOWS_PERIOD, listen="windows")
    with bench.another_way(way) as began:
        bench.wait("tcnd to be well", bench.tcnd.watched.well, BACK_WITHIN)
        well = {bench.ALPHA: bench.now()}
        second = bench.start_second(way)  # two daemons have twice as many rotations in the same time
        try:
            bench.wait("the second daemon to be well", second.watched.well, BACK_WITHIN)
            well[bench.BRAVO] = bench.now()
            bench.air.order("advertise", tcn=WINDOWS_TCN.hex(), interval=PHONE_INTERVAL, rssi=PHONE_RSSI)
            bench.wait("the phone's number to be logged", lambda: WINDOWS_TCN in contacts(bench.tcnd.state_dir), MEETING)
            if (mode := bench.tcnd.watched.values.get("ScanMode")) != "windows":
                raise Failed(f"ScanMode is {mode}")
            return judge_windows(bench, began, well)
        finally:
            second.stop()


def judge_windows(bench, began, well):
    """Judge the windows of two daemons after enough rotations, each daemon from when it was well."""
    def seen(address):
        index = bench.world.trace.index_of(address)
        return bench.world.airings(address, began), [s for s in bench.world.trace.scans if s.start >= began and s.index == index]

    def machines():
        return [windowtimes.by_number(*seen(address)) for address in well]
    try:
        bench.wait(f"{WINDOWS_ROTATIONS} rotations of each daemon with windows on both sides",
                   lambda: min(len(windowtimes.rotations(numbers)) for numbers in machines()) >= WINDOWS_ROTATIONS,
                   (WINDOWS_ROTATIONS + 2) * (WINDOWS_PERIOD + SLOW_START))
    except Failed:
        pass  # a judge says what was seen too seldom
    facts, now = [], bench.now()
    for address in well:
        airings, scans = seen(address)
        acquit(judge.everywhere(airings), judge.one_address_a_tcn(airings), judge.one_tcn_a_scanner(scans, airings),
               judge.windows(scans, WINDOW + SLOW_START, LONGEST_PAUSE + SLOW_START, well[address], now))
        active = [s for s in scans if s.active]
        scanned = sum((now if s.end is None else s.end) - s.start for s in active)
        facts.append(f"{len(active)} windows under {len({s.address for s in active})} addresses, "
                     f"{scanned / (now - began):.0%} of the time, {judge.rotations(airings)} rotations")
    bench.figure(windowtimes.account(machines()))
    acquit(windowtimes.unlinked(machines(), SLOW_START, SHORTEST_PAUSE, LONGEST_PAUSE - SHORTEST_PAUSE))
    return "; ".join(facts)


@scenario("extended", "discoverable")
def discoverable(bench):
    """When another program makes the adapter discoverable, our advert leaves the air at once, and comes back afterwards."""
    asked = bench.now()
    bench.world.bluez.set(bench.ALPHA, "Discoverable", True)
    named(bench, asked, EXPOSED)
    # BlueZ itself interrupts the advert to set it up again: silence counts from its withdrawal.
    bench.wait("our advert to leave the air", lambda: not bench.world.bluez.adverts(bench.ALPHA)
               and bench.silent_since(asked) is not None, NOTICED_WITHIN)
    took = bench.silent_since(asked)
    exposed = [a for a in judge.ours(bench.world.airings(bench.ALPHA, asked)) if a.address_kind == "public"]
    seconds = sum(a.lasted(bench.now()) for a in exposed)
    bench.figure(f"made discoverable: off the air after {1000 * took:.0f} ms, of which "
                 f"{1000 * seconds:.0f} ms under the public address")
    if took > AT_ONCE:
        raise Failed(f"left the air only after {took:.1f} s")
    after = hide(bench)
    acquit(judge.everywhere(judge.within(bench.world.airings(bench.ALPHA), asked + took + 0.001, after)))
    return f"gone after {1000 * took:.0f} ms, {back(bench, after)}"


def revive(bench, since):
    """Start bluetoothd again, which ended after a moment."""
    bluez = bench.world.bluez
    systemctl("start", "--no-block", "bluetooth.service")
    bench.wait("BlueZ to be back", lambda: bluez.started_at > since and bluez.powered(bench.address), BACK_WITHIN)


def hide(bench):
    """Make the adapter undiscoverable again; the moment of it. BlueZ before 5.74 may abort when an
    advert is withdrawn while BlueZ itself sets it up again, as it does for a discoverable adapter.
    The bench reports that and starts bluetoothd again, because the daemon has to survive it."""
    try:
        moment = bench.now()
        bench.world.bluez.set(bench.ALPHA, "Discoverable", False)
    except BusError as error:
        bench.figure(f"bluetoothd did not survive being made discoverable: {error.get_dbus_name()}")
        revive(bench, moment)
        moment = bench.now()
        bench.world.bluez.set(bench.ALPHA, "Discoverable", False)
    return moment


def back(bench, since):
    """Wait for tcnd to be on the air again by itself, and judge what it sends from then on."""
    def fresh():
        return [a for a in judge.ours(bench.world.airings(bench.address, since)) if a.start >= since]
    bench.wait("tcnd to be back on the air", fresh, BACK_WITHIN)
    took = fresh()[0].start - since
    bench.wait(f"tcnd to be well again ({bench.tcnd.watched.account()})", bench.tcnd.watched.well, BACK_WITHIN)
    acquit(judge.everywhere(fresh()))
    return f"back on the air after {took:.1f} s"


def named(bench, since, right):
    """Wait until the right problem has been reported."""
    what = f"{right} among the problems ({bench.tcnd.watched.account()})"
    bench.wait(what, lambda: right in bench.problems(since), NOTICED_WITHIN)
    return right


@scenario("extended", "bluetoothd-restarted")
def bluetoothd_restarted(bench):
    """bluetoothd restarted: the right problem meanwhile, and back on the air by itself."""
    asked = bench.now()
    systemctl("restart", "--no-block", "bluetooth.service")
    problem = named(bench, asked, NO_BLUETOOTHD)
    return f"{problem}; {back(bench, bench.now())}"


@scenario("extended", "bluetoothd-killed")
def bluetoothd_killed(bench):
    """bluetoothd killed, and started again by someone else: the same."""
    asked = bench.now()
    os.kill(main_pid("bluetooth.service"), signal.SIGKILL)
    problem = named(bench, asked, NO_BLUETOOTHD)
    asked = bench.now()
    systemctl("start", "--no-block", "bluetooth.service")
    return f"{problem}; {back(bench, asked)}"


@scenario("extended", "adapter-off-and-on")
def adapter_off_and_on(bench):
    """The adapter powered off and on again."""
    asked = bench.now()
    bench.world.bluez.set(bench.ALPHA, "Powered", False)
    problem = named(bench, asked, ADAPTER_OFF)
    bench.wait("our advert to leave the air", lambda: bench.silent_since(asked) is not None, AT_ONCE)
    if bench.world.bluez.powered(bench.ALPHA):
        raise Failed("the adapter was powered on unasked")
    asked = bench.now()
    bench.world.bluez.set(bench.ALPHA, "Powered", True)
    return f"{problem}; {back(bench, asked)}"


@scenario("extended", "controller-replugged")
def controller_replugged(bench):
    """The controller unplugged and plugged in again."""
    asked = bench.now()
    bench.air.order("unplug", name="alpha")
    problem = named(bench, asked, NO_ADAPTER)
    asked = bench.now()
    bench.air.order("plug", name="alpha")
    return f"{problem}; {back(bench, asked)}"


@scenario("legacy", "rotation-legacy", suites=EVERY)
def rotation_legacy(bench):
    """The same on a legacy controller."""
    facts = rotation(bench, bench.address, bench.began, judge.changes_with_a_scan)
    refused = [r for r in bench.world.trace.refusals if r.time >= bench.began and r.opcode == 0x2005]
    return f"{facts}, {len(refused)} address changes refused by the controller"
