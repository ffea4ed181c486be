"""The verdicts: given what was on the air, was it allowed?

Each judge takes airings (hcitrace.py) and returns a list of faults in words; an empty list is an
acquittal. Judges are pure, so that they can be tested on the host, in a second, against traces that
they must condemn (../unit): a judge that has never condemned a trace proves nothing.

"Ours" is every frame that carries service data of 0xC019. The rules are the coalition's frame
(flags, complete list of the service, service data of 16 + 4 bytes, 31 bytes in all) and the promise
of unlinkability: a listener who hears two numbers must not know that they come from one device.

In full mode and as a relay, numbers of others are on the air among our own. The last four bytes
of a frame are the *prefix* of its sender: the first bytes of its own number, as long as that lasts.
A frame is *own* if it starts with its own prefix, and *carries* otherwise. All frames of one prefix
belong together anyway, so in these modes the promise holds from one own number to the next.
"""

import functools
import statistics
from collections import defaultdict
from dataclasses import dataclass

import hcitrace

TCN_SIZE, PREFIX_SIZE = 16, 4
NOTHING = bytes(TCN_SIZE)  # what a relay airs while it carries nothing
CONNECTABLE_PDU = hcitrace.CONNECTABLE | hcitrace.SCANNABLE | hcitrace.LEGACY_PDU  # ADV_IND
SERVICE = bytes.fromhex("19c0")  # 0xC019, least significant byte first
FLAGS, COMPLETE_LIST_16, SERVICE_DATA_16 = 0x01, 0x03, 0x16
LONGEST = 31
BESIDE = 1.0  # seconds between steps that a kernel takes at once, under emulation


def structures(data):
    """The AD structures of a payload as (type, content)."""
    at = 0
    while at < len(data) and data[at]:
        yield data[at + 1] if at + 1 < len(data) else 0, data[at + 2:at + 1 + data[at]]
        at += 1 + data[at]


@functools.lru_cache(maxsize=1 << 12)  # a scenario asks about the same payloads after each event
def service_data(data):
    """The 0xC019 service data in a payload, or None."""
    for kind, content in structures(data):
        if kind == SERVICE_DATA_16 and content[:2] == SERVICE:
            return content[2:]
    return None


def tcn_of(data):
    """The number a payload carries, or None."""
    content = service_data(data)
    return content[:TCN_SIZE] if content is not None and len(content) >= TCN_SIZE else None


def prefix_of(data):
    """The prefix of the sender of a payload, or None."""
    content = service_data(data)
    return content[TCN_SIZE:] if content is not None and len(content) == TCN_SIZE + PREFIX_SIZE else None


def is_own(data):
    """Whether a payload carries its sender's own number."""
    prefix = prefix_of(data)
    return prefix is not None and tcn_of(data)[:PREFIX_SIZE] == prefix


def own(airings):
    """The airings of own numbers."""
    return [a for a in ours(airings) if is_own(a.data)]


def carried(airings):
    """The airings of others' numbers."""
    return [a for a in ours(airings) if prefix_of(a.data) and not is_own(a.data) and tcn_of(a.data) != NOTHING]


def expected_frames(tcn, prefix=None):
    """Every byte string that is a right frame for this number, own unless there is another prefix,
    without and with the flags that a kernel or BlueZ puts before or after (bluetoothd writes them last)."""
    body = (bytes([3, COMPLETE_LIST_16]) + SERVICE + bytes([23, SERVICE_DATA_16]) + SERVICE
            + tcn + (tcn[:PREFIX_SIZE] if prefix is None else prefix))
    flags = [bytes([2, FLAGS, value]) for value in (0x04, 0x06)]
    return [body] + [f + body for f in flags] + [body + f for f in flags]


def ours(airings):
    """The airings that carry a number."""
    return [a for a in airings if service_data(a.data) is not None]


def within(airings, begin, end):
    """The airings that touch a stretch of time."""
    return [a for a in airings if a.start < end and (a.end is None or a.end > begin)]


def name(airing):
    """How a fault names an airing."""
    tcn = tcn_of(airing.data)
    return f"hci{airing.index} {airing.address} number {tcn.hex()[:8] if tcn else 'none'}…"


def frames(airings):
    """Each payload is the coalition's frame, byte for byte, and fits a legacy advert."""
    faults = []
    for a in ours(airings):
        tcn = tcn_of(a.data)
        if len(a.data) > LONGEST:
            faults.append(f"{name(a)}: {len(a.data)} bytes, more than {LONGEST}")
        elif tcn is None or a.data not in expected_frames(tcn):
            faults.append(f"{name(a)}: not the frame: {a.data.hex()}")
    return faults


def unconnectable(airings):
    """Each advert is a legacy PDU that is neither connectable nor scannable."""
    faults = []
    for a in ours(airings):
        if a.properties & hcitrace.CONNECTABLE:
            faults.append(f"{name(a)}: connectable")
        elif a.properties != hcitrace.LEGACY_PDU:
            faults.append(f"{name(a)}: advertising properties {a.properties:#06x}, not a legacy ADV_NONCONN_IND")
    return faults


def is_private(address):
    """Whether a random address is a private one: its two top bits say which kind of random."""
    return address != "unset" and int(address[:2], 16) >> 6 in (0b00, 0b01)


def addressed(airings, right, kind):
    """Each advert goes out under a random address of the right kind."""
    faults = []
    for a in ours(airings):
        if a.address_kind != "random":
            faults.append(f"{name(a)}: {a.address_kind} address")
        elif not right(a.address):
            faults.append(f"{name(a)}: a random address, but not a {kind} one")
    return faults


def private(airings):
    """Each advert goes out under a private address, never the public or a static one."""
    return addressed(airings, is_private, "private")


def several(pairs):
    """Of (key, value) pairs, the keys that have more than one value."""
    values = defaultdict(set)
    for key, value in pairs:
        values[key].add(value)
    return {key: found for key, found in values.items() if len(found) > 1}


def one_tcn_an_address(airings):
    """No address carries two numbers: it would link them."""
    pairs = [(a.address, tcn_of(a.data).hex()) for a in ours(airings) if tcn_of(a.data)]
    return [f"address {address} carried {len(found)} numbers" for address, found in several(pairs).items()]


def one_address_a_tcn(airings):
    """No number appears under two addresses: with the rule above, the two change together."""
    pairs = [(tcn_of(a.data).hex(), a.address) for a in ours(airings) if tcn_of(a.data)]
    return [f"number {tcn[:8]}… had {len(found)} addresses" for tcn, found in several(pairs).items()]


def changes_with_a_scan(airings, scans):
    """A number changes its address at most where a scan starts. Linux 6.12.118 and similar kernels pause
    a legacy advert while the scanner gets a new address, and give the advert a new one as well
    (hci_sync.c, hci_active_scan_sync). Both addresses have one number, which links them anyway."""
    begins = sorted(s.start for s in scans)
    order, faults = sorted(ours(airings), key=lambda a: a.start), []
    for before, after in zip(order, order[1:]):
        same = tcn_of(before.data) == tcn_of(after.data) and before.address != after.address
        if same and not any(abs(after.start - begin) <= BESIDE for begin in begins):
            faults.append(f"{name(after)}: another address than before, {before.address}, though no scan began")
    return faults


def one_tcn_a_scanner(scans, airings, of=tcn_of):
    """No scan request goes out under one address while two numbers are on the air (or two prefixes,
    where that is asked), and none under the public address: a device that answers scans sees the scanner."""
    faults, pairs = [], []
    for scan in (s for s in scans if s.active):
        if scan.address_kind != "random":
            faults.append(f"hci{scan.index} scanned actively under its {scan.address_kind} address")
            continue
        end = float("inf") if scan.end is None else scan.end
        pairs += [((scan.index, scan.address), of(a.data).hex())
                  for a in within(ours(airings), scan.start, end) if a.index == scan.index and of(a.data)]
    linked = several(pairs)
    return faults + [f"hci{index} scanned under {address} across {len(found)} numbers"
                     for (index, address), found in linked.items()]


def windows(scans, longest, longest_pause, begin, end):
    """Between two moments no scan is longer than a window, and no pause longer than allowed."""
    spans = sorted((s.start, end if s.end is None else s.end) for s in scans if s.active)
    spans = [(start, stop) for start, stop in spans if stop > begin and start < end]
    faults = [f"scanned for {stop - start:.1f} s on end" for start, stop in spans if stop - start > longest]
    heard_until = begin
    for start, stop in [*spans, (end, end)]:
        if start - heard_until > longest_pause:
            faults.append(f"did not scan for {start - heard_until:.1f} s")
        heard_until = max(heard_until, stop)
    return faults


def period(airings, longest, now, of=tcn_of):
    """No number is on the air longer than its period allows; nor its prefix, where that is asked."""
    spans = {}
    for a in ours(airings):
        begin, end = spans.get(of(a.data), (a.start, a.start))
        spans[of(a.data)] = (min(begin, a.start), max(end, now if a.end is None else a.end))
    return [f"number {tcn.hex()[:8]}… was on the air over {end - begin:.1f} s"
            for tcn, (begin, end) in spans.items() if tcn and end - begin > longest]


def rotations(airings):
    """How often the number changed."""
    order = [tcn_of(a.data) for a in sorted(ours(airings), key=lambda a: a.start)]
    return sum(1 for before, after in zip(order, order[1:]) if before != after)


def heard(sightings, airings):
    """The controller was told to send each (address, payload) that an independent listener heard: the
    trace and the air agree."""
    told = {(a.address, a.data) for a in airings}
    return [f"heard {data.hex()} from {address}, which no controller was told to send"
            for address, data in sightings if (address, data) not in told]


def off_air_after(airings, moment, now):
    """Seconds from a moment until no own frame was on the air; None while one still is."""
    touching = within(ours(airings), moment, now)
    if any(a.end is None for a in touching):
        return None
    return max((a.end - moment for a in touching), default=0.0)


def everywhere(airings):
    """The rules that hold at every moment in which no other program has made BlueZ act."""
    return frames(airings) + unconnectable(airings) + private(airings) + one_tcn_an_address(airings)


# ---- full mode and the relay

def full_frames(airings):
    """Each payload is the coalition's frame with flags, own or carrying: 31 bytes, as Android sends."""
    return [f"{name(a)}: not the full frame: {a.data.hex()}" for a in ours(airings)
            if prefix_of(a.data) is None or len(a.data) != LONGEST
            or a.data not in expected_frames(tcn_of(a.data), prefix_of(a.data))]


def connectable(airings):
    """Each advert is one that every phone can connect to."""
    return [f"{name(a)}: advertising properties {a.properties:#06x}, not a legacy ADV_IND"
            for a in ours(airings) if a.properties != CONNECTABLE_PDU]


def is_resolvable(address):
    """Whether a random address is a resolvable private one."""
    return address != "unset" and int(address[:2], 16) >> 6 == 0b01


def resolvable(airings):
    """Each advert goes out under a resolvable private address."""
    return addressed(airings, is_resolvable, "resolvable private")


def one_payload_an_address(airings):
    """Whenever the advertised bytes change, so does the address: an iPhone looks at one address once."""
    pairs = [(a.address, a.data) for a in ours(airings)]
    return [f"address {address} carried {len(found)} payloads" for address, found in several(pairs).items()]


def prefixes(airings):
    """The prefixes in the order in which they came on the air, each as often as it came."""
    order = [prefix_of(a.data) for a in sorted(ours(airings), key=lambda a: a.start)]
    return [now for before, now in zip([None, *order], order) if before != now]


def constant_prefix(airings):
    """One prefix from one own number to the next: none comes back, and each belongs to one number.
    The number of the first may be missing: it was on the air before the trace starts."""
    order = prefixes(airings)
    faults = [f"prefix {p.hex()} came back" for p in sorted({p for p in order if p and order.count(p) > 1})]
    known = {tcn_of(a.data)[:PREFIX_SIZE] for a in own(airings)}
    return faults + [f"prefix {p.hex()} is of no own number" for p in order[1:] if p not in known]


def flushed(airings, written):
    """No carried number outlives an own one, because it would link two of them; unless it was written
    as often. `written` are the numbers written to us, each as often as it was written."""
    pairs = [(tcn_of(a.data), prefix_of(a.data)) for a in carried(airings)]
    return [f"number {tcn.hex()[:8]}… was carried under {len(found)} prefixes" for tcn, found in several(pairs).items()
            if len(found) > written.count(tcn)]


def carried_are_written(airings, written):
    """Only numbers that were written to us are carried, and above all none of our own."""
    mine = {tcn_of(a.data) for a in own(airings)}
    numbers = {tcn_of(a.data) for a in carried(airings)}
    return ([f"own number {tcn.hex()[:8]}… was carried" for tcn in sorted(numbers & mine)]
            + [f"number {tcn.hex()[:8]}… was carried, but no phone wrote it" for tcn in sorted(numbers - mine - set(written))])


def nothing_own(airings):
    """A relay airs no own number."""
    return [f"{name(a)}: a number of the relay's own" for a in own(airings)]


def swaps(airings):
    """How often the payload changed under one prefix."""
    order = [a.data for a in sorted(ours(airings), key=lambda a: a.start)]
    return sum(1 for before, after in zip(order, order[1:]) if before != after and prefix_of(before) == prefix_of(after))


def one_tcn_an_address_heard(sightings, numbers):
    """No address that was heard carried two of these numbers."""
    pairs = [(address, tcn_of(data).hex()) for address, data in sightings if tcn_of(data) in numbers]
    return [f"address {address} was heard with {len(found)} numbers" for address, found in several(pairs).items()]


def one_prefix_an_address(sightings, prefixes):
    """No address that was heard carried two own numbers, whatever was carried with each of them."""
    pairs = [(address, prefix_of(data).hex()) for address, data in sightings if prefix_of(data) in prefixes]
    return [f"address {address} was heard with {len(found)} own numbers" for address, found in several(pairs).items()]


def pauses(airings, of=prefix_of):
    """How long no own frame was on the air before each new prefix, or number, but the first."""
    order = sorted(ours(airings), key=lambda a: a.start)
    return [after.start - before.end if before.end is not None else 0.0
            for before, after in zip(order, order[1:]) if of(before.data) != of(after.data)]


def paused(airings, shortest, of=prefix_of):
    """Between two own numbers no own frame is on the air for as long as an address can last."""
    return [f"another number came after {pause:.1f} s of silence" for pause in pauses(airings, of) if pause < shortest]


def private_scans(scans):
    """No scan request goes out under an address that lasts."""
    return [f"hci{s.index} scanned actively under its {s.address_kind} address {s.address}"
            for s in scans if s.active and not (s.address_kind == "random" and is_resolvable(s.address))]


def never_connected(attempts, peers=None):
    """We connected to no device, or to none of these."""
    return [f"hci{a.index} connected to {a.peer}" for a in attempts
            if peers is None or a.peer in peers or a.peer == hcitrace.ANYONE_LISTED]


def private_attempts(attempts):
    """Devices that we connected to saw no lasting address."""
    return [f"hci{a.index} connected to {a.peer} under its {a.address_kind} address"
            for a in attempts if a.address_kind != "random"]


def cut_off(connections, longest, now):
    """Each device that connected to us was disconnected in time."""
    return [f"{c.peer} was connected for {c.lasted(now):.1f} s" for c in connections
            if c.role == hcitrace.PERIPHERAL and c.lasted(now) > longest]


def sent_away(connections, moment):
    """No device that connected to us before a moment was connected after it."""
    return [f"{c.peer} stayed across a rotation" for c in connections
            if c.role == hcitrace.PERIPHERAL and c.start < moment and (c.end is None or c.end > moment)]


def renewals(airings):
    """The moments at which a new own number came on the air."""
    first = {}
    for a in sorted(own(airings), key=lambda a: a.start):
        first.setdefault(tcn_of(a.data), a.start)
    return list(first.values())


def back_after(airings, connection, now):
    """Seconds from the start of a connection until we were on the air under a new address while it
    still lasted; None if we were not."""
    before = {a.address for a in ours(airings) if a.start < connection.start}
    end = now if connection.end is None else connection.end
    starts = [a.start for a in ours(airings) if connection.start <= a.start < end and a.address not in before]
    return min(starts) - connection.start if starts else None


def full(airings, written):
    """The rules that hold at every moment in full mode, given the numbers written to us."""
    return (full_frames(airings) + connectable(airings) + resolvable(airings) + one_payload_an_address(airings)
            + constant_prefix(airings) + flushed(airings, written) + carried_are_written(airings, written))


def relayed(airings, written):
    """The rules that hold at every moment for a relay; its prefixes belong to no number."""
    order = prefixes(airings)
    return (full_frames(airings) + connectable(airings) + resolvable(airings) + one_payload_an_address(airings)
            + [f"prefix {p.hex()} came back" for p in sorted({p for p in order if p and order.count(p) > 1})]
            + flushed(airings, written) + carried_are_written(airings, written) + nothing_own(airings))


# ---- a device of the owner's beside tcnd

@dataclass(frozen=True)
class Wake:
    """A bonded device started to advertise: when, and after how many seconds it was connected and its first
    key arrived; None for what did not come."""

    asked: float
    connected: float | None
    key: float | None


@dataclass(frozen=True)
class Stream:
    """Reports that a device sent one after another: the number of the first, when each was sent, and those
    that arrived, as (time, number)."""

    first: int
    sent: list
    arrived: list


def returned(wakes):
    """Each time that the device woke it was connected, and its key arrived."""
    faults = [] if wakes else ["the device never woke"]
    for number, wake in enumerate(wakes, 1):
        if wake.connected is None:
            faults.append(f"wake {number}: not connected again")
        elif wake.key is None:
            faults.append(f"wake {number}: connected after {wake.connected:.1f} s, but its key did not arrive")
    return faults


def no_later(wakes, alone, seconds):
    """The median of the returns is at most this much later than that without tcnd; or twice as late, on a
    machine that is so slow that this is more."""
    faults = []
    for what, time in (("connected", lambda wake: wake.connected), ("first key", lambda wake: wake.key)):
        ours, theirs = (statistics.median(time(w) for w in some) for some in (wakes, alone))
        if ours > max(theirs + seconds, 2 * theirs):
            faults.append(f"{what} after {ours:.1f} s, without tcnd after {theirs:.1f} s")
    return faults


def delivered(stream):
    """Each report of a stream arrived, once, in order, and no other."""
    numbers = [number for _, number in stream.arrived]
    sent = range(stream.first, stream.first + len(stream.sent))
    lost, strange = sorted(set(sent) - set(numbers)), sorted(set(numbers) - set(sent))
    faults = [f"{len(lost)} of {len(stream.sent)} reports lost, the first is {lost[0]}"] if lost else []
    faults += [f"{len(strange)} reports that were not sent, the first is {strange[0]}"] if strange else []
    if len(set(numbers)) < len(numbers):
        faults.append(f"{len(numbers) - len(set(numbers))} reports came again")
    elif numbers != sorted(numbers):
        faults.append("reports came in another order")
    return faults


def gaps(times):
    """Seconds from each moment to the next."""
    return [after - before for before, after in zip(times, times[1:])]


def delays(stream):
    """Seconds for which each report that arrived was on its way."""
    return [at - stream.sent[number - stream.first] for at, number in stream.arrived]


def by_scan(wakes, scans):
    """The wakes at which we scanned, and the others."""
    spans = [(s.start, float("inf") if s.end is None else s.end) for s in scans if s.active]
    parts = [], []
    for wake in wakes:
        parts[not any(start <= wake.asked < end for start, end in spans)].append(wake)
    return parts


def enough(scanned, paused, least):
    """The device woke so often at least, both while we scanned and while we did not."""
    return [f"only {len(wakes)} wakes {when}" for when, wakes in (("during a scan", scanned), ("between scans", paused))
            if len(wakes) < least]


def scanned_in(scans, stream):
    """A scan began or ended while the reports of a stream came."""
    ends = [moment for s in scans if s.active for moment in (s.start, s.end) if moment is not None]
    during = any(stream.sent[0] < moment < stream.sent[-1] for moment in ends)
    return [] if during else ["no scan began or ended during the stream"]


def never_scanned(scans, begin, end):
    """No active scan touches a stretch of time, so what was measured was measured without one."""
    touching = [s for s in scans if s.active and s.start < end and (s.end is None or s.end > begin)]
    return [f"{len(touching)} scans without tcnd"] if touching else []
