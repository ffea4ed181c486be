"""Full mode and the relay: tcnd is connected to, connects, and carries the numbers of others.

The phones are Bumble's (hosts.py) and report what they heard and did. What tcnd did is read from the
HCI trace and from its contact log. On the private air tcnd is in full mode under a BlueZ that has
privacy. Each scenario looks at its own visitors. `full-rotation` judges all that was on the air since
the daemon started, so that it also uses the time of the scenarios before it.
"""

import hashlib
import json
import os
import re
import signal
from contextlib import contextmanager

import hcitrace
import judge
from daemon import ADDRESS_TIMEOUT, BROADCAST, FULL, FULL_LASTING, RELAY, TCNCTL, contacts
from people import away, same
from scenarios import (BACK_WITHIN, EVERY, MEETING, NO_BLUETOOTHD, PHONE_INTERVAL, PHONE_RSSI, ROTATIONS, acquit, named,
                       TESTING, revive, scenario)
from world import Failed, main_pid, resident_kib, starts_again, systemctl, written

ANDROID_TCN = bytes.fromhex("7d1a6d3bd9c25a4be1f06e2a4f8c9b13")
ANDROID_ADDRESS = "4B:5C:6D:7E:8F:90"  # of air.py
SWAPS = 12  # of numbers within an epoch
LATE = 4  # seconds that a rotation may take under emulation
LEGACY_ROTATIONS = 2
CONTROLLER_ROTATIONS = 3
BROADCAST_ROTATIONS = 2
NEVER_READ_FOR = 2  # rotations
BRIDGED_WITHIN = 90  # seconds, in which both have written and a slot of each was heard by the other
TEMPTATIONS = 20  # adverts that would make a tcnd in full mode connect

VISIT_LONGEST = 8 + LATE  # seconds
BACK_WHILE_HELD = 6  # seconds, under emulation: a busy machine took 3.2
HOLD_LONGEST = 10 + 10  # seconds; a busy machine took 14.6
FLOOD, FLOOD_WITHIN = 300, 300  # writes, seconds: a busy machine took 70
NUMBERS_A_WRITER = 4  # in an epoch
GROWTH_KIB = 1024
GIVEN_UP = 5 + LATE  # seconds; BlueZ: src/shared/gatt-db.c, ATTRIBUTE_TIMEOUT

READ_NOT_PERMITTED, INVALID_OFFSET, INVALID_LENGTH = 0x02, 0x07, 0x0D  # ATT errors
# Writes that are no number: the bytes, their offset, and the right answer. The first sixteen bytes of a
# longer write may be taken for a number, as the iOS client does; the specification does not say.
GARBAGE = [("nothing", b"", 0, {INVALID_LENGTH}), ("one byte", b"\x01", 0, {INVALID_LENGTH}),
           ("fifteen bytes", b"\x0f" * 15, 0, {INVALID_LENGTH}), ("at an offset", b"\x05" * 16, 5, {INVALID_OFFSET}),
           ("300 bytes", b"\x30" * 300, 0, {0, INVALID_LENGTH})]
FLOOD_MARK = b"\xee" * 8  # begins each number of the flood

PRIVACY_UNKNOWN, PRIVACY_OFF, NO_BRIDGE = "privacy-unknown", "privacy-off", "bridge-unavailable"


# ---- visitors and what is known of them

def address_of(name):
    """An address for a visitor, resolvable as those of phones."""
    raw = hashlib.sha256(name.encode()).digest()[:6]
    return ":".join(f"{byte:02X}" for byte in (raw[0] & 0x3F | 0x40, *raw[1:]))


@contextmanager
def visitor(bench, kind, name):
    """A host on the air for a while; yields its address."""
    bench.air.order(kind, name=name, address=address_of(name))
    try:
        yield address_of(name)
    finally:
        bench.air.order("leave", name=name)


def given(bench):
    """Every number that was written to any device on this air."""
    return [bytes.fromhex(news["writes"]) for news in bench.air.news("writes")]


def wrote(bench, name):
    """The numbers that an iPhone wrote to us, with success."""
    return [bytes.fromhex(news["wrote"]) for news in bench.air.news("wrote", name) if news["to"] != ANDROID_ADDRESS]


def heard(bench, name):
    """The numbers' frames that a host heard from us: (address, payload)."""
    return [s for s in bench.air.sightings(name) if judge.tcn_of(s[1]) and s[0] != ANDROID_ADDRESS]


def account(bench, name):
    """What a host failed at, for a failure message."""
    failed = [news["failed"] for news in bench.air.news("failed", name)]
    broke = [news["broke"] for news in bench.air.news("broke", name)]
    return f"{name} failed {len(failed)} times {failed[-1:]}{broke}"


def wait_for(bench, name, what, question, seconds):
    """Wait for a host to do something; if it is late, report what went wrong for it."""
    try:
        return bench.wait(f"{name} {what}", question, seconds)
    except Failed as failure:
        raise Failed(f"{failure} ({account(bench, name)})") from failure


def outlive(bench, question):
    """A condition on a bench whose bluetoothd may not survive: BlueZ may crash when it gives up on a write
    of a device that left before the answer (bluez#2447). The bench reports that and starts bluetoothd
    again, because the daemon has to survive it."""
    def asked():
        if bench.world.bluez.gone:
            bench.figure("bluetoothd did not survive a stranger who comes and goes")
            revive(bench, bench.world.bluez.started_at)
        return question()
    return asked


def wait_logged(bench, tcn, whose):
    bench.wait(f"{whose} number to be logged", lambda: tcn in contacts(bench.tcnd.state_dir), MEETING)


def airings(bench, since):
    """What our controller sent since a moment."""
    return bench.world.airings(bench.address, since)


def wait_rotations(bench, since, count, way):
    """Wait for this many new own numbers since a moment."""
    bench.wait(f"{count} rotations", lambda: judge.rotations(judge.own(airings(bench, since))) >= count,
               (count + 1) * (way.longest + LATE))


def connections(bench, peer):
    """Our controller's connections with one peer."""
    index = bench.world.trace.index_of(bench.address)
    return [c for c in bench.world.trace.connections if c.index == index and c.peer == peer]


def attempts(bench, since):
    """The commands to connect that any controller got since a moment."""
    return [a for a in bench.world.trace.attempts if a.time >= since]


def scans(bench, since):
    """Our controller's scans since a moment."""
    index = bench.world.trace.index_of(bench.address)
    return [s for s in bench.world.trace.scans if s.index == index and s.start >= since]


def in_mode(bench, mode):
    """Wait for the daemon to say that this mode is in effect."""
    bench.wait(f"the mode {mode} ({bench.tcnd.watched.account()})",
               lambda: bench.tcnd.watched.values.get("Mode") == mode, BACK_WITHIN)


# ---- full mode among honest people

@scenario("private", "iphone-writes")
def iphone_writes(bench):
    """An iPhone in a pocket hears our frame, and its number reaches us by its write."""
    in_mode(bench, "full")
    with visitor(bench, "iphone", "anna") as address:
        [number, *_] = wait_for(bench, "anna", "to write", lambda: wrote(bench, "anna"), MEETING)
        wait_logged(bench, number, "anna's")
        bench.wait("her to be gone", lambda: all(c.end for c in connections(bench, address)), HOLD_LONGEST)
    seen, sent = heard(bench, "anna"), airings(bench, bench.began)
    frames = [data for _, data in seen if judge.is_own(data) and len(data) == judge.LONGEST]
    if not frames:
        raise Failed(f"anna heard no frame of tcnd, but {[data.hex() for _, data in seen]}")
    acquit(judge.heard(seen, sent), judge.full(sent, given(bench)))
    [connection, *_] = connections(bench, address)
    return f"logged; heard {frames[-1].hex()} ({len(frames[-1])} bytes); connected for {connection.lasted(bench.now()):.1f} s"


@scenario("private", "iphone-read", suites=EVERY)
def iphone_read(bench):
    """An iPhone in the foreground is read once, and its adverts then count for the number it gave."""
    since = bench.now()
    # An iPhone that wrote its number first would not be read: it is known.
    with visitor(bench, "written-iphone", "bela") as address:
        bench.air.order("foreground", name="bela", interval=PHONE_INTERVAL, rssi=PHONE_RSSI)
        wait_for(bench, "bela", "to be read", lambda: bench.air.news("read", "bela"), MEETING)
        number = bytes.fromhex(bench.air.news("read", "bela")[0]["read"])
        bench.wait("bela's number to be logged with the strength of the adverts",
                   lambda: any(abs(s - PHONE_RSSI) <= 1 for s in contacts(bench.tcnd.state_dir).get(number, ())), MEETING)
        wait_rotations(bench, bench.now(), 1, FULL)
        reads = bench.air.news("read", "bela")
        if len(reads) != 1:
            raise Failed(f"bela was read {len(reads)} times")
    visits = [c for c in connections(bench, address) if c.role == hcitrace.CENTRAL]
    long = [f"a visit took {c.lasted(bench.now()):.1f} s" for c in visits if c.lasted(bench.now()) > VISIT_LONGEST]
    acquit(long, judge.private_attempts(attempts(bench, since)))
    return f"read once in {len(visits)} visit(s) of {visits[-1].lasted(bench.now()):.1f} s, logged at {PHONE_RSSI} dBm"


def meeting(bench, one, other):
    """Wait until two iPhones that send nothing have each heard a number of the other from us."""
    def met(by, of):
        return {judge.tcn_of(data) for _, data in heard(bench, by)} & set(wrote(bench, of))
    for by, of in ((one, other), (other, one)):
        wait_for(bench, by, f"to hear {of}'s number", lambda by=by, of=of: met(by, of), BRIDGED_WITHIN)
    for name in (one, other):
        wait_logged(bench, wrote(bench, name)[0], f"{name}'s")


@scenario("private", "iphones-bridged")
def iphones_bridged(bench):
    """Two iPhones that hear nothing of each other learn each other's numbers through us."""
    begin = bench.now()
    with visitor(bench, "iphone", "cara"), visitor(bench, "iphone", "dino"):
        meeting(bench, "cara", "dino")
        took = bench.now() - begin
    sent = airings(bench, bench.began)
    acquit(judge.heard(heard(bench, "cara"), sent), judge.heard(heard(bench, "dino"), sent), judge.full(sent, given(bench)))
    return f"met after {took:.0f} s"


@scenario("private", "android-never-read")
def android_never_read(bench):
    """An Android phone is logged, and never connected to: it would not answer."""
    since = bench.now()
    bench.air.order("advertise", tcn=ANDROID_TCN.hex(), interval=PHONE_INTERVAL, rssi=PHONE_RSSI)
    try:
        wait_logged(bench, ANDROID_TCN, "the phone's")
        wait_rotations(bench, since, NEVER_READ_FOR, FULL)
    finally:
        bench.air.order("silence")
    acquit(judge.never_connected(attempts(bench, since), {ANDROID_ADDRESS}))
    return f"logged, and let alone over {NEVER_READ_FOR} rotations"


@scenario("private", "full-rotation", suites=EVERY)
def full_rotation(bench):
    """Number and address change together under privacy, over eight rotations with numbers of others between."""
    begin, late = bench.began, None

    def sent():
        return airings(bench, begin)
    with visitor(bench, "iphone", "ella"):
        try:  # too few is the lesser fault: what was seen is judged first
            bench.wait(f"{ROTATIONS} rotations and {SWAPS} swaps",
                       lambda: judge.rotations(judge.own(sent())) >= ROTATIONS and judge.swaps(sent()) >= SWAPS,
                       (ROTATIONS + 2) * (FULL.longest + LATE))
        except Failed as failure:
            late = failure
    index = bench.world.trace.index_of(bench.address)
    guests = [c for c in bench.world.trace.connections if c.index == index and c.start >= begin]
    numbers, renewed = judge.own(sent()), judge.renewals(sent())
    acquit(judge.full(sent(), given(bench)), judge.one_tcn_a_scanner(scans(bench, begin), sent(), of=judge.prefix_of),
           judge.private_scans(scans(bench, begin)), judge.private_attempts(attempts(bench, begin)),
           judge.period(sent(), FULL.longest + LATE, bench.now(), of=judge.prefix_of),
           *(judge.sent_away(guests, moment) for moment in renewed))
    if late:
        raise late
    others = {judge.tcn_of(a.data) for a in judge.carried(sent())}
    addresses, scanners = {a.address for a in judge.ours(sent())}, {s.address for s in scans(bench, begin) if s.active}
    return (f"{judge.rotations(numbers)} rotations, {judge.swaps(sent())} swaps, {len(others)} numbers carried, "
            f"{len(addresses)} addresses and {len(scanners)} of the scanner, {len(guests)} connections")


# ---- among hostile ones

@scenario("private", "hostile-holder")
def hostile_holder(bench):
    """A device that connects and holds on does not silence us, and is disconnected."""
    with bench.reloaded(FULL_LASTING), visitor(bench, "hostile", "mallory") as address:
        begin = bench.now()
        bench.air.order("hold", name="mallory")
        wait_for(bench, "mallory", "to hold us", lambda: bench.air.news("held", "mallory"), MEETING)
        connection = connections(bench, address)[-1]
        took = bench.wait("our advert to be back under a new address",
                          lambda: judge.back_after(airings(bench, 0.0), connection, bench.now()), HOLD_LONGEST)
        if took > BACK_WHILE_HELD:
            raise Failed(f"silent for {took:.1f} s while held")
        bench.wait("mallory to be cut off", lambda: connection.end, 2 * HOLD_LONGEST)
        if judge.rotations(judge.own(airings(bench, begin))):
            raise Failed("a new number came meanwhile, which would have disconnected it too")
    acquit(judge.cut_off([connection], HOLD_LONGEST, bench.now()))
    if connection.reason != hcitrace.BY_US:
        raise Failed(f"the connection ended for the reason {connection.reason}, not by us")
    return f"back on the air after {1000 * took:.0f} ms, cut off after {connection.lasted(bench.now()):.1f} s"


def write_garbage(bench, name):
    """Let a host write garbage; fail unless it is refused with the right error. Returns what was taken for a number."""
    taken = set()
    for count, (what, value, offset, right) in enumerate(GARBAGE, 1):
        bench.air.order("write", name=name, what=what, value=value.hex(), offset=offset)
        tried = wait_for(bench, name, f"to write {what}",
                         outlive(bench, lambda count=count: bench.air.news("tried", name)[count - 1:]), MEETING)
        if tried[0]["answer"] not in right:
            raise Failed(f"{what} written was answered {tried[0]['answer']:#04x}")
        if tried[0]["answer"] == 0:
            taken.add(value[:judge.TCN_SIZE])
    return taken


@scenario("private", "hostile-writes")
def hostile_writes(bench):
    """Garbage and hundreds of numbers written to us: errors, a bounded log, bounded memory, and we still hear."""
    earlier = contacts(bench.tcnd.state_dir).keys()
    with visitor(bench, "hostile", "oskar"):
        taken = write_garbage(bench, "oskar")
        # Pages of code come and go: tcnd gives them back with each number.
        before, begin = resident_kib(bench.tcnd.pid(), "RssAnon"), bench.now()
        bench.air.order("flood", name="oskar", mark=FLOOD_MARK.hex(), count=FLOOD)
        [flood] = wait_for(bench, "oskar", "to have written them all", outlive(bench, lambda: bench.air.news("flooded", "oskar")),
                           FLOOD_WITHIN)
    end = bench.now()
    bench.wait("bluetoothd to have given up on all of oskar's writes",
               outlive(bench, lambda: bench.now() > end + GIVEN_UP), 2 * GIVEN_UP)
    with visitor(bench, "iphone", "paul"):
        [number, *_] = wait_for(bench, "paul", "to write", lambda: wrote(bench, "paul"), MEETING)
        wait_logged(bench, number, "paul's")
    growth = resident_kib(bench.tcnd.pid(), "RssAnon") - before
    log = contacts(bench.tcnd.state_dir).keys()
    logged = {tcn for tcn in log if tcn.startswith(FLOOD_MARK)}
    epochs = len({judge.prefix_of(a.data) for a in judge.ours(airings(bench, begin))})
    if not 1 <= len(logged) <= NUMBERS_A_WRITER * epochs:
        raise Failed(f"{len(logged)} numbers of the flood were logged in {epochs} epochs")
    reads = {bytes.fromhex(news["read"]) for news in bench.air.news("read")}
    if strange := log - earlier - logged - taken - reads - set(given(bench)):
        raise Failed(f"garbage was logged: {[tcn.hex() for tcn in strange]}")
    if growth > GROWTH_KIB:
        raise Failed(f"tcnd grew by {growth} KiB")
    return (f"garbage refused; {flood['flooded']} writes over {flood['connections']} connections in {end - begin:.0f} s, "
            f"{len(logged)} logged in {epochs} epochs, {growth:+d} KiB; an honest phone logged")


@contextmanager
def cured(check):
    """The unit of bluetoothd changed as the doctor says, where it has to be."""
    before = check()
    if starts_again("bluetooth.service"):
        same("verdict on what follows a crash", before["verdict"], "ok")
        yield "by its own unit"
        return
    same("verdict on what follows a crash", before["verdict"], "warn")
    lines, [path] = re.findall(r'"(.+?)"', before["cure"]), re.findall(r"the file is (\S+)\)", before["cure"])
    try:
        with written(path, "".join(f"{line}\n" for line in lines)):
            systemctl("daemon-reload")
            same("verdict after the cure", check()["verdict"], "ok")
            yield "by the doctor's cure"
    finally:
        systemctl("daemon-reload")


@scenario("private", "bluetoothd-crashed", suites=EVERY)
def bluetoothd_crashed(bench):
    """A bluetoothd that crashes is restarted, if necessary by the doctor's cure, and we are on the air with it."""
    def check():  # despite other problems: the earlier crash may still hold tcnd up
        found = json.loads(away("nobody", TCNCTL, "doctor", "--json").stdout)
        return next(c for c in found["checks"] if c["name"] == "restart")
    with cured(check) as why:
        crashed = bench.now()
        os.kill(main_pid("bluetooth.service"), signal.SIGSEGV)
        named(bench, crashed, NO_BLUETOOTHD)
        bluez = bench.world.bluez
        bench.wait("BlueZ to be back", lambda: bluez.started_at > crashed and bluez.powered(bench.address), BACK_WITHIN)
        # Until then the kernel has kept the old advert on the air.
        [first, *_] = bench.wait("tcnd to be back on the air by itself",
                                 lambda: [a for a in judge.ours(airings(bench, crashed)) if a.start > bluez.started_at], BACK_WITHIN)
    return f"back on the air {first.start - crashed:.1f} s after the crash, {why}"


# ---- other ways

@scenario("private", "relay")
def relay(bench):
    """As a relay we air no own number, refuse to be read, and two iPhones meet through us."""
    with bench.another_way(RELAY) as since:
        in_mode(bench, "relay")
        with visitor(bench, "hostile", "nero"):
            bench.air.order("read", name="nero")
            [answer] = wait_for(bench, "nero", "to try a read", lambda: bench.air.news("tried", "nero"), MEETING)
            if answer["answer"] != READ_NOT_PERMITTED:
                raise Failed(f"a read was answered {answer['answer']:#04x}")
        with visitor(bench, "iphone", "hana"), visitor(bench, "iphone", "ivan"):
            meeting(bench, "hana", "ivan")
            bench.wait("a second epoch after it", lambda: len(judge.prefixes(airings(bench, since))) >= 3,
                       3 * (RELAY.longest + LATE))
        sent = airings(bench, since)
        acquit(judge.relayed(sent, given(bench)), judge.private_scans(scans(bench, since)),
               judge.one_tcn_a_scanner(scans(bench, since), sent, of=judge.prefix_of),
               judge.never_connected(attempts(bench, since)),
               judge.period(sent, RELAY.longest + LATE, bench.now(), of=judge.prefix_of))
        if not any(judge.tcn_of(a.data) == judge.NOTHING for a in sent):
            raise Failed("the empty number was never on the air")
        return f"{len(judge.prefixes(sent))} epochs, {len(judge.carried(sent))} frames carried, a read refused"


@scenario("extended", "privacy-off-refused")
def privacy_off_refused(bench):
    """Without privacy, or if it is not known, full mode works like broadcast and says why."""
    with visitor(bench, "iphone", "fred"):
        bench.air.order("foreground", name="fred", interval=PHONE_INTERVAL, rssi=PHONE_RSSI)
        for permitted, problem in ((False, PRIVACY_UNKNOWN), (True, PRIVACY_OFF)):
            with bench.another_way(FULL, permitted) as since:
                named(bench, since, problem)
                in_mode(bench, "broadcast")
                bench.wait("our advert on the air", lambda: judge.ours(airings(bench, since)), BACK_WITHIN)
                index = bench.world.trace.index_of(bench.address)
                start = bench.world.trace.reports.get(index, 0)
                bench.wait("fred to be heard often",
                           lambda: bench.world.trace.reports.get(index, 0) >= start + TEMPTATIONS, MEETING)
                acquit(judge.everywhere(airings(bench, since)), judge.never_connected(attempts(bench, since)))
    return f"{PRIVACY_UNKNOWN} without the drop-in, {PRIVACY_OFF} with it, a broadcast both times"


@scenario("private-legacy", "full-legacy")
def full_legacy(bench):
    """On a legacy controller a number lasts as long as the address, and no other number is carried."""
    begin, late = bench.began, None
    in_mode(bench, "full")
    try:
        wait_rotations(bench, begin, LEGACY_ROTATIONS, FULL)
    except Failed as failure:
        late = failure
    sent = airings(bench, begin)
    acquit(judge.full(sent, []), judge.one_address_a_tcn(sent), judge.one_tcn_a_scanner(scans(bench, begin), judge.own(sent)),
           judge.private_scans(scans(bench, begin)), judge.period(sent, FULL.longest + LATE, bench.now()))
    if late:
        raise late
    if NO_BRIDGE not in bench.tcnd.watched.values.get("Problems", ()):
        raise Failed(f"{NO_BRIDGE} is not among the problems")
    held = judge.ours(sent)[0].start - begin
    return f"{judge.rotations(sent)} rotations, first number after {held:.0f} s"


@scenario("private-controller", "full-by-controller", suites=TESTING)
def full_by_controller(bench):
    """Where the controller makes the addresses, none carries two numbers, and an iPhone is still heard."""
    begin, late = bench.began, None
    in_mode(bench, "full")
    by_controller = any(a.address_kind == "controller" for a in judge.ours(airings(bench, begin)))
    with visitor(bench, "iphone", "rosa"):
        [number, *_] = wait_for(bench, "rosa", "to write", lambda: wrote(bench, "rosa"), 2 * MEETING)
        wait_logged(bench, number, "rosa's")
        try:
            bench.wait(f"{CONTROLLER_ROTATIONS} rotations",
                       lambda: judge.rotations(judge.own(airings(bench, begin))) >= CONTROLLER_ROTATIONS,
                       (CONTROLLER_ROTATIONS + 1) * (FULL.longest + 2 * ADDRESS_TIMEOUT + LATE))
        except Failed as failure:
            late = failure
    sent = airings(bench, begin)
    prefixes = {judge.prefix_of(a.data) for a in judge.ours(sent)}
    sightings = bench.air.sightings()
    faults = (judge.full_frames(sent) + judge.connectable(sent) + judge.constant_prefix(sent)
              + judge.flushed(sent, given(bench)) + judge.carried_are_written(sent, given(bench)))
    acquit(faults, judge.one_prefix_an_address(sightings, prefixes), judge.private_scans(scans(bench, begin)),
           judge.one_tcn_a_scanner(scans(bench, begin), sent, of=judge.prefix_of),
           judge.period(sent, FULL.longest + LATE, bench.now(), of=judge.prefix_of),
           judge.paused(sent, ADDRESS_TIMEOUT) if by_controller else judge.full(sent, given(bench)))
    if late:
        raise late
    heard_under = {address for address, data in sightings if judge.prefix_of(data) in prefixes}
    whose = f"the controller, pauses of {min(judge.pauses(sent)):.0f} s and more" if by_controller else "the host"
    return (f"{judge.rotations(judge.own(sent))} rotations, {len(heard_under)} addresses made by {whose}; "
            "an iPhone's number logged")


@scenario("private-controller", "broadcast-private", suites=TESTING)
def broadcast_private(bench):
    """A broadcast with privacy on shows no address with two numbers, whether host or controller makes the addresses."""
    with bench.another_way(BROADCAST) as since:
        in_mode(bench, "broadcast")
        bench.wait(f"{BROADCAST_ROTATIONS} rotations",
                   lambda: judge.rotations(airings(bench, since)) >= BROADCAST_ROTATIONS,
                   (BROADCAST_ROTATIONS + 1) * (BROADCAST.longest + 2 * ADDRESS_TIMEOUT + LATE))
        sent = airings(bench, since)
    sightings = bench.air.sightings()
    numbers = {judge.tcn_of(a.data) for a in judge.ours(sent)}
    by_controller = any(a.address_kind == "controller" for a in judge.ours(sent))
    acquit(judge.frames(sent), judge.unconnectable(sent), judge.one_tcn_an_address_heard(sightings, numbers),
           judge.paused(sent, ADDRESS_TIMEOUT, of=judge.tcn_of) if by_controller else judge.everywhere(sent))
    heard_under = {address for address, data in sightings if judge.tcn_of(data) in numbers}
    return (f"{judge.rotations(sent)} rotations, {len(heard_under)} addresses made by "
            f"{'the controller' if by_controller else 'the host'}")
