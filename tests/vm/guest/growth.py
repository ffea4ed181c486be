"""The growth of contacts that waits in a file beside the database, by store/growth_record.rs.

A contact grows in this file, and is a row of the database an hour later, or as soon as tcnd is asked for it.
"""

import hashlib
from dataclasses import dataclass

MAGIC, HEADER, CHECK, TCN, PAGE = b"tcndgro\x01", 24, 8, 16, 4096
STRONGEST, UNMEASURED = 64, 1 << 16


@dataclass(frozen=True)
class Growth:
    """The sightings of a number in a minute. Times in seconds since 1970, signals in dBm."""

    tcn: bytes
    start: int
    end: int
    strongest: int | None
    sum: int


class Body:
    """What stands in a record, read from its front."""

    def __init__(self, data):
        self.data = data

    def take(self, size):
        taken, self.data = self.data[:size], self.data[size:]
        return taken

    def unsigned(self):
        value, shift = 0, 0
        while True:
            [byte] = self.take(1)
            value |= (byte & 0x7f) << shift
            shift += 7
            if byte < 0x80:
                return value

    def signed(self):
        value = self.unsigned()
        return value >> 1 ^ -(value & 1)


def check(before, data):
    """The check of these bytes behind those of another check."""
    return hashlib.sha256(before + data).digest()[:CHECK]


def growths(body, runs):
    """The growth in a record. `runs` are those that the file named before, and gets those that it names here."""
    body = Body(body)
    last = body.unsigned()
    while body.data:
        place = body.unsigned()
        if not place:
            runs.append((body.take(TCN), last - body.unsigned()))
        tcn, start = runs[place - 1]
        end, strongest, packed = last - body.unsigned(), body.signed() - STRONGEST, body.unsigned()
        if packed & 2:
            body.unsigned()  # the seconds unheard
        counts, measured = Body(body.take(packed >> 2)), 0
        for bucket in range(5):
            count = counts.unsigned() if counts.data else 0
            measured += count if bucket < 4 else 0
        less = body.signed()
        if strongest == UNMEASURED:
            yield Growth(tcn, start, end, None, -less)
        else:
            yield Growth(tcn, start, end, strongest, strongest * measured - less)


def record(data, place, before):
    """The body of a record at this place, behind the record of this check; none if there is no whole one."""
    begin = place + 4 + CHECK
    body = data[begin:begin + int.from_bytes(data[place:place + 4], "little")]
    return body if len(data) >= begin and data[place + 4:begin] == check(before, body) else None


def waiting(data, mark, folded):
    """What this file holds that the database of this mark does not have yet."""
    before = check(bytes(CHECK), data[:16])
    if data[:8] != MAGIC or data[16:HEADER] != before:
        return []
    after = (mark + 1 - (-1 << 63)) % (1 << 64) + (-1 << 63)
    behind = {mark: folded, after: 0}.get(int.from_bytes(data[8:16], "little", signed=True))
    if behind is None:
        return []
    place, runs, found = HEADER, [], []
    while True:
        for begin in (place, -(-place // PAGE) * PAGE):
            if (body := record(data, begin, before)) is not None:
                break
        else:
            return found
        before, place = check(before, body), begin + 4 + CHECK + len(body)
        growth = list(growths(body, runs))
        found += growth if place > behind else []
