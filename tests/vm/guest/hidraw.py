"""Reads what the kernel's HID layer delivers, whatever else the machine does.

The kernel keeps 64 reports for a reader of /dev/hidraw (drivers/hid/hidraw.c, HIDRAW_BUFFER_SIZE), which
is a second of typing. The main loop of the bench may be busy for longer, so this is a process of its own,
and goes before others. It writes lines of JSON to standard output:

    {"device": true}                         a device file is there; false when it has gone
    {"at": 1700000000.5, "report": "0000…"}  a report that is not all zero, and when it was read

The kernel announces the device file. Most versions of BlueZ remove it while the keyboard sleeps
(hog_disconnect).

    python3 hidraw.py
"""

import json
import os
import re
import select
import socket
import time

UEVENTS, KERNEL = 15, 1  # NETLINK_KOBJECT_UEVENT, and its group
ADDED = re.compile(rb"add@[^\0]*/hidraw/(hidraw\d+)\0")


def tell(**news):
    print(json.dumps(news), flush=True)


def read(file):
    """Tell of the reports that are there; whether the device still is."""
    try:
        report = os.read(file, 64)
    except BlockingIOError:
        return True
    except OSError:
        return False
    if any(report):
        tell(at=time.time(), report=report.hex())
    return bool(report)


def main():
    os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(1))
    events = socket.socket(socket.AF_NETLINK, socket.SOCK_DGRAM, UEVENTS)
    events.bind((0, KERNEL))
    tell(device=False)
    file = None
    while True:
        ready, _, _ = select.select([events, *([] if file is None else [file])], [], [])
        if file in ready and not read(file):
            os.close(file)
            file = None
            tell(device=False)
        if events in ready and (found := ADDED.match(events.recv(1 << 14))):
            if file is not None:
                os.close(file)
            file = os.open(f"/dev/{found[1].decode()}", os.O_RDONLY | os.O_NONBLOCK)
            tell(device=True)


if __name__ == "__main__":
    main()
