"""The growth of contacts that waits in a file beside the database, by store/growth_record.rs.

A contact grows in this file, and is a row of the database an hour later, or as soon as tcnd is asked for it.
"""

import hashlib
from dataclasses import dataclass

MAGIC, HEADER, CHECK, TCN = b"tcndgro\x01", 24, 8, 16
UNMEASURED = 1 << 15


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


def check(file, place, data):
    """The check of these bytes at this place of this file."""
    return hashlib.sha256(file + place.to_bytes(8, "little") + data).digest()[:CHECK]


def growths(body, runs):
    """The growth in a record. `runs` are those that the file named before, and gets those that it names here."""
    body = Body(body)
    while body.data:
        place = body.unsigned()
        if not place:
            runs.append((body.take(TCN), body.unsigned()))
        tcn, start = runs[place - 1]
        end, strongest, total = start + body.unsigned(), body.signed(), body.signed()
        packed = body.unsigned()
        if packed & 2:
            body.unsigned()  # the seconds unheard
        body.take(packed >> 2)
        yield Growth(tcn, start, end, None if strongest == UNMEASURED else strongest, total)


def waiting(data, mark, folded):
    """What this file holds that the database of this mark does not have yet."""
    file = data[8:16]
    if data[:8] != MAGIC or data[16:HEADER] != check(file, 0, data[:16]):
        return []
    after = (mark + 1 - (-1 << 63)) % (1 << 64) + (-1 << 63)
    behind = {mark: folded, after: 0}.get(int.from_bytes(file, "little", signed=True))
    if behind is None:
        return []
    place, runs, found = HEADER, [], []
    while len(data) >= place + 4 + CHECK:
        begin = place + 4 + CHECK
        body = data[begin:begin + int.from_bytes(data[place:place + 4], "little")]
        if data[place + 4:begin] != check(file, place, body):
            break
        growth = list(growths(body, runs))
        found += growth if place >= behind else []
        place = begin + len(body)
    return found
