"""What a Bluetooth controller was told, read from the kernel's HCI monitor.

About what is on the air, the bench believes neither the daemon nor BlueZ. Between the kernel and
every controller, emulated or real, there is one place where both sides can be observed: the
monitor channel, which is also what btmon shows. This module turns its packets into *airings*:
one airing is a stretch of time in which one controller sent one payload under one address with
one set of properties. A command counts when the controller has accepted it, not when it was sent,
since a refused address change (0x0c) is exactly the kind of event that links two numbers.

Legacy commands (0x2005 to 0x200d) and extended ones (0x2035 to 0x2043) end up in the same
airings, so the verdicts in judge.py need not know the kind of controller.

Besides the airings there are the scans, the attempts to connect, and the connections that were
made, from either side.

Pure: packets in, airings out. No clock, no socket. Run as a program, it lists the airings of a
btsnoop file such as the bench leaves behind (or `btmon -w` writes):

    python3 hcitrace.py FILE
"""

import struct
import sys
from dataclasses import dataclass, field

# Monitor packet types (net/bluetooth/hci_mon.h).
NEW_INDEX, DEL_INDEX, COMMAND, EVENT = 0, 1, 2, 3
OPEN_INDEX, CLOSE_INDEX, INDEX_INFO = 8, 9, 10

# HCI events (Core Specification, Vol 4, Part E, 7.7).
DISCONNECTION_COMPLETE, COMMAND_COMPLETE, LE_META = 0x05, 0x0E, 0x3E
CONNECTION_COMPLETE, ENHANCED_CONNECTION_COMPLETE = 0x01, 0x0A
ADVERTISING_REPORT, EXT_ADVERTISING_REPORT, ADVERTISING_SET_TERMINATED = 0x02, 0x0D, 0x12

RESET = 0x0C03
CREATE_CONNECTION, EXT_CREATE_CONNECTION = 0x200D, 0x2043

# Advertising event properties of the extended parameters command (7.8.53).
CONNECTABLE, SCANNABLE, SCAN_RESPONSE, LEGACY_PDU = 0x01, 0x02, 0x08, 0x10
# The same for the PDU types of the legacy command (7.8.5): ADV_IND, directed, scannable,
# non-connectable, directed low duty.
LEGACY_TYPES = {0: 0x13, 1: 0x1D, 2: 0x12, 3: 0x10, 4: 0x15}

LEGACY_SET = -1  # stands for the set handle of a controller that has no sets

CENTRAL, PERIPHERAL = 0, 1  # our role in a connection
BY_US = 0x16  # the reason of a connection's end: terminated by the local host

ANYONE_LISTED = "a device on the accept list"  # where no one peer is named

RESOLVED = (2, 3)  # own address types: made by the controller towards whom it knows; else public, random
OWN_ADDRESS = {0: "public", 1: "random", 2: "controller", 3: "controller"}


@dataclass(frozen=True)
class Packet:
    """One packet of the monitor channel."""

    time: float
    index: int
    opcode: int
    data: bytes


@dataclass
class Airing:
    """One payload under one address with one set of properties, from `start` to `end`."""

    start: float
    index: int
    handle: int
    address_kind: str  # public, random, or controller: the controller resolves it, unseen
    address: str
    properties: int
    data: bytes
    end: float | None = None

    def lasted(self, now):
        """Seconds on the air so far."""
        return (now if self.end is None else self.end) - self.start

    def same(self, other):
        """Whether a listener could not tell the two apart."""
        return (self.address_kind, self.address, self.properties, self.data) == (
            other.address_kind, other.address, other.properties, other.data)


@dataclass
class Scan:
    """A stretch of scanning under one address. Only an active scan says anything on the air."""

    start: float
    index: int
    address_kind: str
    address: str
    active: bool
    end: float | None = None

    def same(self, other):
        """Whether both ask under the same address in the same way."""
        return (self.address_kind, self.address, self.active) == (
            other.address_kind, other.address, other.active)


@dataclass(frozen=True)
class Attempt:
    """A command to connect to a device. It counts when sent, not when it succeeded: others can see
    what the controller does then."""

    time: float
    index: int
    address_kind: str
    peer: str


@dataclass
class Connection:
    """A connection, from its first event to its last."""

    start: float
    index: int
    handle: int
    role: int
    peer: str
    end: float | None = None
    reason: int | None = None

    def lasted(self, now):
        """Seconds connected so far."""
        return (now if self.end is None else self.end) - self.start


@dataclass(frozen=True)
class Refusal:
    """A command that the controller refused."""

    time: float
    index: int
    opcode: int
    status: int


@dataclass
class Set:
    """One advertising set as the controller holds it; a legacy controller has just one."""

    own_address: int = 0
    properties: int = 0
    address: str | None = None
    data: bytes = b""
    enabled: bool = False


@dataclass
class Controller:
    """What one controller has been told."""

    public: str = "00:00:00:00:00:00"
    random: str | None = None
    sets: dict = field(default_factory=dict)
    scan_active: bool = False
    scan_own_address: int = 0
    scanning: bool = False
    pending: dict = field(default_factory=dict)
    connections: dict = field(default_factory=dict)  # handle → Connection

    def reset(self, time):
        """Forget everything but the address the controller was made with."""
        self.random, self.sets, self.scanning = None, {}, False
        for handle in list(self.connections):
            self.disconnected(handle, time, None)

    def disconnected(self, handle, time, reason):
        """Close the connection of this handle."""
        if connection := self.connections.pop(handle, None):
            connection.end, connection.reason = time, reason

    def legacy(self):
        """The one set of the legacy commands."""
        return self.sets.setdefault(LEGACY_SET, Set())


def address_text(raw):
    """Six bytes, least significant first, as people write them."""
    return ":".join(f"{byte:02X}" for byte in reversed(raw))


class Trace:
    """Fed with packets in order, knows every airing and scan there was and is."""

    def __init__(self):
        self.controllers = {}
        self.airings = []
        self.scans = []
        self.refusals = []
        self.attempts = []
        self.connections = []
        self.reports = {}  # index → adverts reported to the host, scan responses not counted
        self._open_airings = {}
        self._open_scans = {}

    def feed(self, packet):
        """Take in one packet of the monitor channel."""
        controller = self.controllers.setdefault(packet.index, Controller())
        if packet.opcode == NEW_INDEX:
            self.controllers[packet.index] = controller = Controller(public=address_text(packet.data[2:8]))
        elif packet.opcode == INDEX_INFO:
            controller.public = address_text(packet.data[:6])
        elif packet.opcode in (DEL_INDEX, CLOSE_INDEX):
            controller.reset(packet.time)
        elif packet.opcode == COMMAND:
            opcode, _ = struct.unpack_from("<HB", packet.data)
            controller.pending[opcode] = packet.data[3:]
            if opcode in (CREATE_CONNECTION, EXT_CREATE_CONNECTION):
                self.attempts.append(attempt(packet, controller, opcode))
            return
        elif packet.opcode == EVENT:
            if not self._event(packet, controller):
                return
        else:
            return
        self._settle(packet.time, packet.index, controller)

    def index_of(self, address):
        """The newest index of the controller with this public address, or None."""
        found = [i for i, c in self.controllers.items() if c.public == address.upper()]
        return max(found, default=None)

    def on_air(self, index):
        """The airings of one controller that have not ended."""
        return [a for a in self._open_airings.values() if a.index == index]

    def _event(self, packet, controller):
        """Apply an event; whether it can have changed what is on the air."""
        code = packet.data[0]
        if code == COMMAND_COMPLETE and len(packet.data) >= 6:
            opcode, status = struct.unpack_from("<HB", packet.data, 3)
            parameters = controller.pending.pop(opcode, None)
            if parameters is None:
                return False
            if status:
                self.refusals.append(Refusal(packet.time, packet.index, opcode, status))
                return False
            if opcode == RESET:
                controller.reset(packet.time)
            elif apply := COMMANDS.get(opcode):
                apply(controller, parameters)
            return opcode == RESET or opcode in COMMANDS
        if code == DISCONNECTION_COMPLETE and not packet.data[2]:
            controller.disconnected(struct.unpack_from("<H", packet.data, 3)[0], packet.time, packet.data[5])
        if code == LE_META:
            subevent, detail = packet.data[2], packet.data[3:]
            if subevent in (ADVERTISING_REPORT, EXT_ADVERTISING_REPORT):
                answer = detail[1] == 4 if subevent == ADVERTISING_REPORT else detail[1] & SCAN_RESPONSE
                self.reports[packet.index] = self.reports.get(packet.index, 0) + (0 if answer else detail[0])
            elif subevent == ADVERTISING_SET_TERMINATED and detail[1] in controller.sets:
                controller.sets[detail[1]].enabled = False
                return True
            elif subevent in (CONNECTION_COMPLETE, ENHANCED_CONNECTION_COMPLETE) and not detail[0]:
                return self._connected(packet, controller, detail)
        return False

    def _connected(self, packet, controller, detail):
        """Add a connection; returns whether it took an advert off the air. An extended controller has a
        separate event for that; a legacy advert just ends."""
        handle, role = struct.unpack_from("<HB", detail, 1)
        connection = Connection(packet.time, packet.index, handle, role, address_text(detail[5:11]))
        controller.connections[handle] = connection
        self.connections.append(connection)
        if role == PERIPHERAL and LEGACY_SET in controller.sets:
            controller.legacy().enabled = False
            return True
        return False

    def _settle(self, time, index, controller):
        """Close what ended and open what started with the packet just applied."""
        now = {(index, h): a for h, s in controller.sets.items() if (a := airing(time, index, h, controller, s))}
        scan = {index: scanning(time, index, controller)} if controller.scanning else {}
        settle(self._open_airings, now, index, time, self.airings)
        settle(self._open_scans, scan, index, time, self.scans)


def settle(still_open, now, index, time, everything):
    """Replace what is open on one controller by what there is now, keeping what is unchanged."""
    for key, thing in list(still_open.items()):
        if thing.index == index and not (key in now and now[key].same(thing)):
            thing.end = time
            del still_open[key]
    for key, thing in now.items():
        if key not in still_open:
            still_open[key] = thing
            everything.append(thing)


def airing(time, index, handle, controller, advert):
    """What this set sends now, or None."""
    if not advert.enabled:
        return None
    random = controller.random if handle == LEGACY_SET else advert.address
    kind, address = own_address(controller, advert.own_address, random)
    return Airing(time, index, handle, kind, address, advert.properties, advert.data)


def scanning(time, index, controller):
    """The present scan of this controller. It sends scan requests to unknown devices under the random
    address that the host chose, even if it may use one that it makes (Vol 4, Part E, 7.8.64)."""
    own = controller.scan_own_address
    kind, address = own_address(controller, own & 1 if own in RESOLVED else own, controller.random)
    return Scan(time, index, kind, address, controller.scan_active)


def own_address(controller, own_type, random):
    """Kind and text of the address that an own-address type stands for."""
    kind = OWN_ADDRESS.get(own_type, "controller")
    address = {"public": controller.public, "random": random or "unset"}.get(kind, "unknown")
    return kind, address


def attempt(packet, controller, opcode):
    """The parameters of a command to connect: the filter policy, the own address, and the peer."""
    p = packet.data[3:]
    if opcode == CREATE_CONNECTION:
        listed, peer, own = p[4], p[6:12], p[12]
    else:
        listed, own, peer = p[0], p[1], p[3:9]
    kind, _ = own_address(controller, own, controller.random)
    return Attempt(packet.time, packet.index, kind, ANYONE_LISTED if listed else address_text(peer))


# ---- the commands, each (controller, parameters) → nothing; the section of the specification
# ---- is Vol 4, Part E, 7.8, in the order of the opcodes.

def _random_address(c, p):
    c.random = address_text(p[:6])


def _legacy_parameters(c, p):
    c.legacy().properties = LEGACY_TYPES.get(p[4], CONNECTABLE)
    c.legacy().own_address = p[5]


def _legacy_data(c, p):
    c.legacy().data = bytes(p[1:1 + p[0]])


def _legacy_enable(c, p):
    c.legacy().enabled = bool(p[0])


def _legacy_scan_parameters(c, p):
    c.scan_active, c.scan_own_address = p[0] == 1, p[5]


def _scan_enable(c, p):
    c.scanning = bool(p[0])


def _set_address(c, p):
    c.sets.setdefault(p[0], Set()).address = address_text(p[1:7])


def _set_parameters(c, p):
    advert = c.sets.setdefault(p[0], Set())
    advert.properties, advert.own_address = struct.unpack_from("<H", p, 1)[0], p[10]


def _set_data(c, p):
    advert = c.sets.setdefault(p[0], Set())
    operation, data = p[1], bytes(p[4:4 + p[3]])
    if operation in (1, 3):  # first fragment, complete
        advert.data = data
    elif operation in (0, 2):  # intermediate, last
        advert.data += data


def _set_enable(c, p):
    handles = [p[2 + 4 * i] for i in range(p[1])]
    for handle in handles or list(c.sets):
        if handle in c.sets:
            c.sets[handle].enabled = bool(p[0])


def _remove_set(c, p):
    c.sets.pop(p[0], None)


def _clear_sets(c, _):
    c.sets.clear()


def _ext_scan_parameters(c, p):
    c.scan_own_address, c.scan_active = p[0], p[3] == 1


COMMANDS = {
    0x2005: _random_address,
    0x2006: _legacy_parameters,
    0x2008: _legacy_data,
    0x200A: _legacy_enable,
    0x200B: _legacy_scan_parameters,
    0x200C: _scan_enable,
    0x2035: _set_address,
    0x2036: _set_parameters,
    0x2037: _set_data,
    0x2039: _set_enable,
    0x203C: _remove_set,
    0x203D: _clear_sets,
    0x2041: _ext_scan_parameters,
    0x2042: _scan_enable,
}


# ---- btsnoop, the file format of btmon

BTSNOOP_HEADER = b"btsnoop\0" + struct.pack(">II", 1, 2001)
BTSNOOP_EPOCH = 0x00E03AB44A676000  # microseconds from the year 0 to 2000-01-01, as BlueZ counts
UNIX_2000 = 946684800


def to_btsnoop(packet):
    """The record btmon would have written."""
    stamp = int((packet.time - UNIX_2000) * 1e6) + BTSNOOP_EPOCH
    flags = packet.index << 16 | packet.opcode
    return struct.pack(">IIIIQ", len(packet.data), len(packet.data), flags, 0, stamp) + packet.data


def from_btsnoop(content):
    """The packets of a btsnoop file of the monitor kind."""
    if content[:16] != BTSNOOP_HEADER:
        raise ValueError("not a btsnoop file of the monitor kind")
    at = 16
    while at + 24 <= len(content):
        _, size, flags, _, stamp = struct.unpack_from(">IIIIQ", content, at)
        at += 24
        yield Packet((stamp - BTSNOOP_EPOCH) / 1e6 + UNIX_2000, flags >> 16, flags & 0xFFFF, content[at:at + size])
        at += size


def main(path):
    """List the airings of a btsnoop file."""
    trace, last = Trace(), 0.0
    with open(path, "rb") as file:
        for packet in from_btsnoop(file.read()):
            trace.feed(packet)
            last = packet.time
    begin = trace.airings[0].start if trace.airings else 0.0
    for a in trace.airings:
        print(f"{a.start - begin:9.3f} s  {a.lasted(last):8.3f} s  hci{a.index} set {a.handle:2}  "
              f"{a.address_kind:10} {a.address}  {a.properties:#04x}  {a.data.hex()}")
    for c in trace.connections:
        print(f"{c.start - begin:9.3f} s  {c.lasted(last):8.3f} s  hci{c.index} connected to {c.peer} as "
              f"{'central' if c.role == CENTRAL else 'peripheral'}, ended for {c.reason}")
    for a in trace.attempts:
        print(f"{a.time - begin:9.3f} s  hci{a.index} connects to {a.peer} under its {a.address_kind} address")
    for r in trace.refusals:
        print(f"{r.time - begin:9.3f} s  hci{r.index} refused {r.opcode:#06x}: {r.status:#04x}")


if __name__ == "__main__":
    main(sys.argv[1])
