"""The verdicts: given what was on the air, was it allowed?

Each judge takes airings (hcitrace.py) and answers with a list of faults in plain words; an empty
list is an acquittal. They are pure so that they can be tried on the host, in a second, against
traces that must be condemned (../unit): a judge that has never said no proves nothing.

"Ours" is whatever carries service data of 0xC019. The rules are the coalition's frame (flags,
complete list of the service, service data of 16 + 4 bytes, 31 bytes in all) and the promise of
unlinkability: who hears two numbers may not know that they come from one device.
"""

from collections import defaultdict

import hcitrace

SERVICE = bytes.fromhex("19c0")  # 0xC019, least significant byte first
FLAGS, COMPLETE_LIST_16, SERVICE_DATA_16 = 0x01, 0x03, 0x16
LONGEST = 31


def structures(data):
    """The AD structures of a payload as (type, content)."""
    at = 0
    while at < len(data) and data[at]:
        yield data[at + 1] if at + 1 < len(data) else 0, data[at + 2:at + 1 + data[at]]
        at += 1 + data[at]


def service_data(data):
    """The 0xC019 service data in a payload, or None."""
    for kind, content in structures(data):
        if kind == SERVICE_DATA_16 and content[:2] == SERVICE:
            return content[2:]
    return None


def tcn_of(data):
    """The number a payload carries, or None."""
    content = service_data(data)
    return content[:16] if content is not None and len(content) >= 16 else None


def expected_frames(tcn):
    """Every byte string that is a right frame for this number, without and with the flags that
    a kernel or BlueZ puts before or after (bluetoothd writes them last)."""
    body = bytes([3, COMPLETE_LIST_16]) + SERVICE + bytes([23, SERVICE_DATA_16]) + SERVICE + tcn + tcn[:4]
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
    """Each advert is a legacy PDU that nobody can connect to or ask for more."""
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


def private(airings):
    """Each advert goes out under a private address, never the public or a static one."""
    faults = []
    for a in ours(airings):
        if a.address_kind != "random":
            faults.append(f"{name(a)}: {a.address_kind} address")
        elif not is_private(a.address):
            faults.append(f"{name(a)}: a random address, but not a private one")
    return faults


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


def one_tcn_a_scanner(scans, airings):
    """No scan request goes out under one address while two numbers are on the air, and none under
    the public address: who answers scans sees the scanner."""
    faults, pairs = [], []
    for scan in (s for s in scans if s.active):
        if scan.address_kind != "random":
            faults.append(f"hci{scan.index} scanned actively under its {scan.address_kind} address")
            continue
        end = float("inf") if scan.end is None else scan.end
        pairs += [((scan.index, scan.address), tcn_of(a.data).hex())
                  for a in within(ours(airings), scan.start, end) if a.index == scan.index and tcn_of(a.data)]
    linked = several(pairs)
    return faults + [f"hci{index} scanned under {address} across {len(found)} numbers"
                     for (index, address), found in linked.items()]


def period(airings, longest, now):
    """No number is on the air longer than its period allows."""
    spans = {}
    for a in ours(airings):
        begin, end = spans.get(tcn_of(a.data), (a.start, a.start))
        spans[tcn_of(a.data)] = (min(begin, a.start), max(end, now if a.end is None else a.end))
    return [f"number {tcn.hex()[:8]}… was on the air over {end - begin:.1f} s"
            for tcn, (begin, end) in spans.items() if tcn and end - begin > longest]


def rotations(airings):
    """How often the number changed."""
    order = [tcn_of(a.data) for a in sorted(ours(airings), key=lambda a: a.start)]
    return sum(1 for before, after in zip(order, order[1:]) if before != after)


def heard(sightings, airings):
    """Each (address, payload) that an independent listener heard was told to the controller: the
    reading of the trace and the air agree."""
    told = {(a.address, a.data) for a in airings}
    return [f"heard {data.hex()} from {address}, which no controller was told to send"
            for address, data in sightings if (address, data) not in told]


def off_air_after(airings, moment, now):
    """Seconds from a moment until nothing of ours was on the air; None while something still is."""
    touching = within(ours(airings), moment, now)
    if any(a.end is None for a in touching):
        return None
    return max((a.end - moment for a in touching), default=0.0)


def everywhere(airings):
    """The rules that hold at every moment in which nobody has forced BlueZ's hand."""
    return frames(airings) + unconnectable(airings) + private(airings) + one_tcn_an_address(airings)
