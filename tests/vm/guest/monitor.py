"""The kernel's HCI monitor channel as a stream of packets.

This is what btmon reads: every command, event and index change of every controller, stamped by the
kernel. The bench reads it directly, so that a scenario can wait for what is on the air instead of
sleeping. It also writes it in btmon's file format, so that a person can read it afterwards
(`btmon -r FILE`, or `python3 hcitrace.py FILE`).
"""

import ctypes
import os
import socket
import struct

import hcitrace

AF_BLUETOOTH, BTPROTO_HCI, DEVICE_NONE, CHANNEL_MONITOR = 31, 1, 0xFFFF, 2
RECEIVE_BUFFER = 16 << 20  # the reader may be busy for seconds; the kernel drops what does not fit
SO_TIMESTAMP, SO_RCVBUFFORCE = 29, 33
LONGEST_PACKET = 8192


class Monitor:
    """The open channel; `read` gives what has come since the last time."""

    def __init__(self, trace, path):
        self.trace = trace
        self.socket = socket.socket(AF_BLUETOOTH, socket.SOCK_RAW | socket.SOCK_NONBLOCK, BTPROTO_HCI)
        self.socket.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, RECEIVE_BUFFER)
        self.socket.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMP, 1)
        bind(self.socket, struct.pack("<HHH", AF_BLUETOOTH, DEVICE_NONE, CHANNEL_MONITOR))
        self.file = open(path, "wb", buffering=1 << 16)
        self.file.write(hcitrace.BTSNOOP_HEADER)

    def fileno(self):
        """The descriptor to wait on."""
        return self.socket.fileno()

    def read(self):
        """Feed all packets that have arrived to the trace."""
        while True:
            try:
                content, ancillary, _, _ = self.socket.recvmsg(LONGEST_PACKET, 64)
            except BlockingIOError:
                return
            opcode, index, size = struct.unpack_from("<HHH", content)
            packet = hcitrace.Packet(stamp(ancillary), index, opcode, content[6:6 + size])
            self.file.write(hcitrace.to_btsnoop(packet))
            self.trace.feed(packet)

    def close(self):
        """Close the channel and finish the file."""
        self.socket.close()
        self.file.close()


def bind(sock, address):
    """bind(2) with a raw address: Python's own cannot name the channel."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.bind(sock.fileno(), address, len(address)):
        raise OSError(ctypes.get_errno(), "bind to the HCI monitor: " + os.strerror(ctypes.get_errno()))


def stamp(ancillary):
    """The kernel's time of a packet, in seconds."""
    for _, kind, value in ancillary:
        if kind == SO_TIMESTAMP:
            seconds, micro = struct.unpack("<qq", value)
            return seconds + micro / 1e6
    raise ValueError("a monitor packet without a time")
