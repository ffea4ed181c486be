"""A writer of HCI traces: the packets that a kernel and a controller would exchange.

Layouts are those of the Core Specification, Vol 4, Part E, 7.8. Each method returns the writer, so a
test reads as the sequence it means. Time passes by a millisecond a packet and by `wait`.
"""

import struct

import hcitrace

PUBLIC = "00:1A:7D:00:00:0A"
# Private, non-resolvable (top bits 00) and resolvable (01); static (11) is the wrong kind.
A1, A2, A3 = "0A:11:22:33:44:55", "2B:11:22:33:44:55", "5C:11:22:33:44:55"
STATIC = "C0:11:22:33:44:55"
# Resolvable ones, one for each frame of the full mode; and one of another device.
R1, R2, R3, R4 = ("5C:00:00:00:00:01", "5C:00:00:00:00:02", "5C:00:00:00:00:03", "5C:00:00:00:00:04")
PEER = "4B:5C:6D:7E:8F:90"
FULL_FLAGS = b"\x02\x01\x06"


def tcn(number):
    """A number that is easy to tell from others."""
    return bytes([number]) * 16


def frame(number, flags=b"\x02\x01\x04"):
    """The coalition's frame as the kernel sends it on a controller without BR/EDR."""
    return flags + bytes.fromhex("030319c0171619c0") + tcn(number) + tcn(number)[:4]


def full_frame(number, carrier=None):
    """The same in full mode: flags by bluetoothd, which writes them last, and the prefix of the carrier."""
    prefix = tcn(number if carrier is None else carrier)[:4]
    return bytes.fromhex("030319c0171619c0") + tcn(number) + prefix + FULL_FLAGS


def raw(address):
    return bytes(reversed(bytes.fromhex(address.replace(":", ""))))


class Wire:
    def __init__(self):
        self.trace, self.index, self.now = hcitrace.Trace(), 0, 1000.0
        self.plug()

    def plug(self):
        return self.packet(hcitrace.NEW_INDEX, b"\0\0" + raw(PUBLIC) + b"hci\0\0\0\0\0")

    def packet(self, opcode, data):
        self.now += 0.001
        self.trace.feed(hcitrace.Packet(self.now, self.index, opcode, data))
        return self

    def event(self, data):
        return self.packet(hcitrace.EVENT, data)

    def command(self, opcode, parameters, status=0):
        self.packet(hcitrace.COMMAND, struct.pack("<HB", opcode, len(parameters)) + parameters)
        return self.event(bytes([0x0E, 4, 1]) + struct.pack("<HB", opcode, status))

    def wait(self, seconds):
        self.now += seconds
        return self

    def data_ext(self, data, handle=1):
        return self.command(0x2037, bytes([handle, 3, 1, len(data)]) + data)

    def advertise_ext(self, address, data, handle=1, own=1, properties=0x10):
        parameters = struct.pack("<BH3s3sBBB6sBbBBBBB", handle, properties, b"\xa0\0\0", b"\xa0\0\0", 7, own, 0, bytes(6), 0, 127, 1, 0, 1, 0, 0)
        self.command(0x2036, parameters)
        self.command(0x2035, bytes([handle]) + raw(address))
        self.data_ext(data, handle)
        return self.command(0x2039, bytes([1, 1, handle, 0, 0, 0]))

    def say(self, address, data, own=1, properties=0x13):
        """As BlueZ does it with a connectable advert on an extended controller: the old instance goes."""
        return self.command(0x203C, b"\x01").advertise_ext(address, data, own=own, properties=properties)

    def create_connection(self, peer, own=1, listed=0):
        """The legacy command; its only answer is a status."""
        parameters = struct.pack("<HHBB6sBHHHHHH", 0x60, 0x30, listed, 1, raw(peer), own, 24, 40, 0, 42, 0, 0)
        self.packet(hcitrace.COMMAND, struct.pack("<HB", 0x200D, len(parameters)) + parameters)
        return self.event(bytes([0x0F, 4, 0, 1]) + struct.pack("<H", 0x200D))

    def create_connection_ext(self, peer, own=1, listed=0):
        parameters = struct.pack("<BBB6sBHHHHHHHH", listed, own, 1, raw(peer), 1, 0x60, 0x30, 24, 40, 0, 42, 0, 0)
        self.packet(hcitrace.COMMAND, struct.pack("<HB", 0x2043, len(parameters)) + parameters)
        return self.event(bytes([0x0F, 4, 0, 1]) + struct.pack("<H", 0x2043))

    def connected(self, peer, handle=1, role=1, status=0, enhanced=True):
        detail = struct.pack("<BHBB6s", status, handle, role, 1, raw(peer))
        detail = b"\x0a" + detail + bytes(19) if enhanced else b"\x01" + detail + bytes(7)
        return self.event(bytes([0x3E, len(detail)]) + detail)

    def terminated(self, advert=1, handle=1):
        """The set ends because a device connected to it."""
        return self.event(bytes([0x3E, 6, 0x12, 0, advert]) + struct.pack("<HB", handle, 0))

    def disconnected(self, handle=1, reason=0x16, status=0):
        return self.event(bytes([0x05, 4, status]) + struct.pack("<HB", handle, reason))

    def disable_ext(self, handle=1):
        return self.command(0x2039, bytes([0, 1, handle, 0, 0, 0]))

    def rotate_ext(self, address, data):
        """As BlueZ does it: the old instance goes, a new one is made."""
        return self.command(0x203C, b"\x01").advertise_ext(address, data)

    def data_legacy(self, data):
        return self.command(0x2008, bytes([len(data)]) + data.ljust(31, b"\0"))

    def advertise_legacy(self, address, data, kind=3, own=1):
        self.data_legacy(data)
        self.command(0x2005, raw(address))
        self.command(0x2006, struct.pack("<HHBBB6sBB", 0xA0, 0xA0, kind, own, 0, bytes(6), 7, 0))
        return self.command(0x200A, b"\x01")

    def disable_legacy(self):
        return self.command(0x200A, b"\x00")

    def scan(self, active, own=1):
        self.command(0x2041, bytes([own, 0, 1, int(active), 0x12, 0, 0x12, 0]))
        return self.command(0x2042, bytes([1, 0, 0, 0, 0, 0]))

    def stop_scan(self):
        return self.command(0x2042, bytes(6))
