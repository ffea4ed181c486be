"""What a program tells assistive technology: its tree by AT-SPI, read again with each call."""

import gi

gi.require_version("Gio", "2.0")
from gi.repository import Gio, GLib

INTERFACE = "org.a11y.atspi."
# The states that matter, by their bits.
STATES = {
    1: "active", 4: "checked", 10: "expanded", 11: "focusable", 12: "focused", 20: "pressed", 23: "selected",
    24: "sensitive",
}
WINDOW_COORDINATES = 1
ANSWER = 5000  # milliseconds in which a program that is not frozen answers


def connected(address):
    """A connection to this bus."""
    flags = Gio.DBusConnectionFlags.AUTHENTICATION_CLIENT | Gio.DBusConnectionFlags.MESSAGE_BUS_CONNECTION
    return Gio.DBusConnection.new_for_address_sync(address, flags, None, None)


def called(bus, name, path, interface, method, arguments=None):
    """What a method returns."""
    flags = Gio.DBusCallFlags.NONE
    return bus.call_sync(name, path, interface, method, arguments, None, flags, ANSWER, None).unpack()


class Accessible:
    """One object of a tree."""

    def __init__(self, bus, name, path, inside=()):
        self.bus, self.owner, self.path, self.inside = bus, name, path, inside
        values = self.call("org.freedesktop.DBus.Properties", "GetAll", GLib.Variant("(s)", (INTERFACE + "Accessible",)))[0]
        self.name = values["Name"]
        self.role = self.call(INTERFACE + "Accessible", "GetRoleName")[0]
        low, high = self.call(INTERFACE + "Accessible", "GetState")[0]
        bits = low | high << 32
        self.states = {word for bit, word in STATES.items() if bits >> bit & 1}

    def __repr__(self):
        return " ".join([self.role, repr(self.name), *sorted(self.states)])

    def call(self, interface, method, arguments=None):
        return called(self.bus, self.owner, self.path, interface, method, arguments)

    def now(self):
        """The same object, read again."""
        return Accessible(self.bus, self.owner, self.path, self.inside)

    def children(self):
        found = self.call(INTERFACE + "Accessible", "GetChildren")[0]
        return [Accessible(self.bus, *child, (*self.inside, self.role)) for child in found]

    def walk(self):
        """This object, and all below it, except of what is in a tab, which is its name and its icon twice."""
        yield self
        for child in self.children() if self.role != "tab" else ():
            yield from child.walk()

    def title(self):
        """Its name, unless it is that of its class, which GTK gives to what has none. The buttons of dialogs
        have their names twice."""
        if self.name.startswith(("Gtk", "Adw")):
            return ""
        half = len(self.name) // 2
        return self.name[:half] if self.name[:half] == self.name[half + 1:] else self.name

    def line(self):
        """What is stored of it."""
        return " " * len(self.inside) + " ".join([self.role, repr(self.title()), *sorted(self.states - {"sensitive"})])

    def is_drawn(self):
        _, _, across, down = self.box()
        return across > 0 and down > 0

    def box(self):
        """Its left, top, width and height in its window."""
        return self.call(INTERFACE + "Component", "GetExtents", GLib.Variant("(u)", (WINDOW_COORDINATES,)))[0]

    def act(self):
        """Do what a click does."""
        self.call(INTERFACE + "Action", "DoAction", GLib.Variant("(i)", (0,)))


class Desktop:
    """The programs of a session, and which objects got the focus."""

    def __init__(self, session_bus):
        session = connected(session_bus)
        [address] = called(session, "org.a11y.Bus", "/org/a11y/bus", "org.a11y.Bus", "GetAddress")
        session.close_sync(None)
        self.bus = connected(address)
        self.focused = set()
        event = ("StateChanged", None, "focused", Gio.DBusSignalFlags.NONE)
        self.bus.signal_subscribe(None, INTERFACE + "Event.Object", *event, self.focus)

    def focus(self, _bus, _sender, path, _interface, _signal, arguments):
        if arguments.unpack()[1]:
            self.focused.add(path)

    def listen(self):
        """Take the events that have come."""
        while GLib.MainContext.default().iteration(False):
            pass

    def programs(self):
        """The trees of all programs."""
        registry, root = "org.a11y.atspi.Registry", "/org/a11y/atspi/accessible/root"
        found = called(self.bus, registry, root, INTERFACE + "Accessible", "GetChildren")[0]
        return [(name, path) for name, path in found]

    def program(self, pid):
        """The tree of the program with this process id, or None."""
        for name, path in self.programs():
            bus = ("org.freedesktop.DBus", "/org/freedesktop/DBus", "org.freedesktop.DBus")
            [of] = called(self.bus, *bus, "GetConnectionUnixProcessID", GLib.Variant("(s)", (name,)))
            if of == pid:
                return Accessible(self.bus, name, path)
        return None
