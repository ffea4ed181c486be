"""One caller: does what the table of access_matrix.py names with tcnd on the system bus, and reports its result.

    caller.py VERB…     prints a JSON object, from line to result, of the lines that begin with a VERB

bus.py runs it as each user. A member of tcnd that is in no line is reported as `unlisted`, and is not
called. The arguments are the smallest that a member takes.
"""

import json
import os
import sys
import time
import xml.etree.ElementTree as xml

import dbus

import access_matrix

NAME, ROOT = "org.tcncoalition.Tcnd1", "/org/tcncoalition/Tcnd1"
LOG_CONTROL = "/org/freedesktop/LogControl1"
WITHIN = 90  # seconds; Reports.Check waits for a whole exchange
INTERVAL = 6 * 3600  # seconds, by which reports are delivered
# Covered by the lines that begin with read and write.
NOT_LINES = {"Properties.Get", "Properties.Set"}
NONE = dbus.Dictionary(signature="sv")
CONSENT = dbus.Dictionary({"consent": True}, signature="sv")
SOURCE = dbus.Dictionary({"name": "one", "label": "One", "publish": False}, signature="sv")

# By signature, and by member where the signature is not enough.
ARGUMENTS = {
    "": lambda: (),
    "u": lambda: (dbus.UInt32(0),),
    "tt": lambda: (dbus.UInt64(0), dbus.UInt64(1)),
    "ttu": lambda: (dbus.UInt64(0), dbus.UInt64(3600), dbus.UInt32(3600)),
    "a{sv}": lambda: (NONE,),
    "s": lambda: ("3",),
    "ss": lambda: ("one", ""),
    "sa{sv}": lambda: ("3", CONSENT),
    "tsa{sv}": lambda: (dbus.UInt64(0), "accepted", NONE),
    "ha{sv}": lambda: (nothing(), NONE),
    "sha{sv}": lambda: ("3", nothing(), NONE),
    "yaytta{sv}": lambda: (dbus.Byte(1), dbus.ByteArray(b"\0"), dbus.UInt64(0), dbus.UInt64(1), CONSENT),
    "Reports.CancelPublish": lambda: ("3", NONE),
    "Exposures.Get": lambda: ("8-93600",),
    "Exposures.MarkSeen": lambda: ("8-93600",),
    "Exposures.Dismiss": lambda: ("8-93600",),
    "Exposures.Restore": lambda: ("8-93600",),
    "Privacy.WipeAll": lambda: ("destroy everything", NONE),
    "Exchange.Begin": lambda: ([SOURCE],),
    "Exchange.Pending": lambda: ("one",),
    "Exchange.Deliver": lambda: ("one", dbus.UInt64(time.time() // INTERVAL), nothing(), NONE),
    "Exchange.TakePart": lambda: ("one",),
    "Properties.GetAll": lambda: (f"{NAME}.Manager",),
}
# The values to write: valid ones for the log, and values of the right type for the others.
VALUES = {"LogLevel": "info", "LogTarget": "journal"}
TYPES = {"b": dbus.Boolean(True), "u": dbus.UInt32(0), "t": dbus.UInt64(0), "y": dbus.Byte(0)}


def nothing():
    """An empty file to read from or write to."""
    fd = os.open("/dev/null", os.O_RDWR)
    try:
        return dbus.types.UnixFd(fd)
    finally:
        os.close(fd)


class Tcnd:
    """The daemon as it describes itself: the interfaces of each object."""

    def __init__(self):
        self.bus = dbus.SystemBus()
        [adapter] = self.node(f"{ROOT}/adapter").findall("node")  # one is plugged in
        self.members = {}
        for path in (ROOT, LOG_CONTROL, f"{ROOT}/adapter/{adapter.get('name')}"):
            for interface in self.node(path).findall("interface"):
                self.enter(path, interface)

    def node(self, path):
        return xml.fromstring(self.call(path, "org.freedesktop.DBus.Introspectable", "Introspect", "", ()))

    def call(self, path, interface, member, signature, arguments):
        return self.bus.call_blocking(NAME, path, interface, member, signature, arguments, timeout=WITHIN)

    def enter(self, path, interface):
        """Record one interface, under the lines of the table."""
        short = interface.get("name").rsplit(".", 1)[1]
        for method in interface.findall("method"):
            signature = "".join(a.get("type") for a in method.findall("arg") if a.get("direction") != "out")
            self.members.setdefault(f"call {short}.{method.get('name')}", (path, interface.get("name"), signature))
        for property in interface.findall("property"):
            for verb in ("read", "write"):
                self.members[f"{verb} {short}.{property.get('name')}"] = (path, interface.get("name"), property.get("type"))

    def do(self, line):
        """Do what a line says."""
        path, interface, kind = self.members[line]
        verb, what = line.split()
        member, properties = what.split(".")[1], "org.freedesktop.DBus.Properties"
        if verb == "read":
            self.call(path, properties, "Get", "ss", (interface, member))
        elif verb == "write":
            self.call(path, properties, "Set", "ssv", (interface, member, VALUES.get(member, TYPES.get(kind, ""))))
        else:
            self.call(path, interface, member, kind, ARGUMENTS.get(what, ARGUMENTS.get(kind))())


def result(tcnd, line):
    """The result of a call."""
    if line not in tcnd.members:
        return "missing"
    try:
        tcnd.do(line)
        return "ok"
    except dbus.DBusException as error:
        return access_matrix.of(error.get_dbus_name())


def main():
    tcnd = Tcnd()
    asked = lambda lines: [line for line in lines if line.split()[0] in sys.argv[1:]]
    found = {line: result(tcnd, line) for line in asked(access_matrix.parse(access_matrix.TABLE))}
    unlisted = [line for line in asked(tcnd.members) if line not in found and line.split()[1] not in NOT_LINES]
    json.dump(found | {line: "unlisted" for line in unlisted}, sys.stdout)


if __name__ == "__main__":
    main()
