#!/usr/bin/env python3
"""Prints the state of tcnd, and each change of it.

    tcnd_state.py [ADDRESS]      ADDRESS: of the bus of tcnd, the system bus if not given

Needs python3-gi. Properties are public, so no permission is needed. See org.tcncoalition.Tcnd1(5).
"""

import sys

from gi.repository import Gio, GLib

NAME = "org.tcncoalition.Tcnd1"
PATH = "/org/tcncoalition/Tcnd1"
MANAGER = "org.tcncoalition.Tcnd1.Manager"


def show(manager):
    """Print a line. A property is None while tcnd is not running."""
    state = manager.get_cached_property("State")
    if manager.get_name_owner() is None or state is None:
        print("not running", flush=True)
        return
    problems = manager.get_cached_property("Problems").unpack()
    print(" ".join([state.unpack(), *problems]), flush=True)


def main():
    if len(sys.argv) > 1:
        flags = Gio.DBusConnectionFlags.AUTHENTICATION_CLIENT | Gio.DBusConnectionFlags.MESSAGE_BUS_CONNECTION
        bus = Gio.DBusConnection.new_for_address_sync(sys.argv[1], flags, None, None)
    else:
        bus = Gio.bus_get_sync(Gio.BusType.SYSTEM, None)
    # The proxy keeps the properties up to date, also when tcnd ends and starts again. It never starts tcnd.
    manager = Gio.DBusProxy.new_sync(bus, Gio.DBusProxyFlags.DO_NOT_AUTO_START, None, NAME, PATH, MANAGER, None)
    manager.connect("g-properties-changed", lambda *_: show(manager))
    manager.connect("notify::g-name-owner", lambda *_: show(manager))
    show(manager)
    GLib.MainLoop().run()


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        pass
