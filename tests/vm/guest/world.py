"""The world of the bench: one clock, one main loop, and everything that is started in it.

Whatever happens in the guest (a packet between kernel and controller, a D-Bus signal, news from
the air) arrives in one GLib main loop. So a scenario never sleeps: it names what it waits for and
a deadline, and the condition is checked again after each event. Only files, such as the contact
database, send no event when they change; they are read twice a second, with a deadline too.
"""

import json
import os
import signal
import socket
import subprocess
import time
from contextlib import contextmanager

import dbus
import dbus.mainloop.glib
from gi.repository import GLib

import hcitrace
from monitor import Monitor

RESULTS = "/run/bench/results"
GUEST = os.path.dirname(os.path.abspath(__file__))
MAIN_CONF = "/etc/bluetooth/main.conf"
PRIVACY = "[General]\nPrivacy = device\n"
DEBUGFS = "/sys/kernel/debug"
TICK_MS = 500  # how often things without an event are checked
# Seconds for what has to be there before anything of this project is judged. It only ends a machine that hangs.
SET_UP_WITHIN = 300


class Failed(Exception):
    """A scenario did not see what it must see."""


class Loop:
    """Waiting, on the one main loop."""

    def __init__(self):
        dbus.mainloop.glib.DBusGMainLoop(set_as_default=True)
        self.context = GLib.MainContext.default()

    def wait(self, what, question, seconds):
        """Wait until the condition returns something true, and return that. Being late is a failure."""
        end = time.monotonic() + seconds
        ticker = GLib.timeout_add(TICK_MS, lambda: True)
        try:
            while not (answer := question()):
                if time.monotonic() > end:
                    raise Failed(f"{what}: not within {seconds:.0f} s")
                self.context.iteration(True)
            return answer
        finally:
            GLib.source_remove(ticker)

    def watch(self, fd, ready):
        """Call `ready` whenever there is something to read; it returns whether to continue. Returns what ends it."""
        return GLib.io_add_watch(fd, GLib.PRIORITY_DEFAULT, GLib.IOCondition.IN | GLib.IOCondition.HUP, lambda *_: ready())

    def unwatch(self, watch):
        """End a watch, before its descriptor is closed."""
        GLib.source_remove(watch)


class AirProcess:
    """The process of air.py, as seen from here."""

    def __init__(self, loop):
        self.loop, self.heard, self.told, self.done, self.rest = loop, [], [], [], b""
        path = "/run/bench/air"
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(path)
        listener.listen()
        errors = open(f"{RESULTS}/air.err", "a")
        self.process = subprocess.Popen(["python3", f"{GUEST}/air.py", path], stderr=errors)
        errors.close()
        self.log = open(f"{RESULTS}/air.jsonl", "a")
        listener.settimeout(SET_UP_WITHIN)
        self.socket, _ = listener.accept()
        listener.close()
        os.unlink(path)
        loop.watch(self.socket.fileno(), self.read)

    def read(self):
        content = self.socket.recv(1 << 16)
        *lines, self.rest = (self.rest + content).split(b"\n")
        for line in lines:
            news = {"at": time.time(), **json.loads(line)}
            self.log.write(json.dumps(news) + "\n")
            (self.done if "done" in news else self.heard if "heard" in news else self.told).append(news)
        return bool(content)

    def order(self, do, **how):
        """Order something on the air, and wait until it is done."""
        self.done.clear()
        self.socket.sendall(json.dumps({"do": do, **how}).encode() + b"\n")
        self.loop.wait(f"the air to {do}", lambda: self.done or self.process.poll() is not None, SET_UP_WITHIN)
        if not self.done:
            raise Failed(f"the air ended while told to {do}: see air.err")

    def sightings(self, who="phone"):
        """What the phone, or another host, heard: (address, payload)."""
        return [(news["address"], bytes.fromhex(news["heard"])) for news in self.heard if news["who"] == who]

    def news(self, what, who=None):
        """What one host or all hosts reported about one thing, in order."""
        return [news for news in self.told if what in news and who in (None, news["who"])]

    def end(self):
        self.process.send_signal(signal.SIGTERM)
        self.process.wait()
        self.log.close()


class Bluez:
    """BlueZ on the system bus: which adapters there are, kept up to date by its signals."""

    NAME, ADAPTER, OBJECTS = "org.bluez", "org.bluez.Adapter1", "org.freedesktop.DBus.ObjectManager"

    def __init__(self, loop, bus):
        self.loop, self.bus, self.adapters, self.started_at, self.gone = loop, bus, {}, 0.0, False
        bus.add_signal_receiver(self.added, "InterfacesAdded", self.OBJECTS, self.NAME)
        bus.add_signal_receiver(self.removed, "InterfacesRemoved", self.OBJECTS, self.NAME)
        bus.add_signal_receiver(self.changed, "PropertiesChanged", dbus.PROPERTIES_IFACE, self.NAME,
                                path_keyword="path", arg0=self.ADAPTER)
        bus.watch_name_owner(self.NAME, self.owner)

    def owner(self, owner):
        """A new bluetoothd: read what it has. An ended one has nothing."""
        self.adapters.clear()
        self.gone = not owner
        if owner:
            self.started_at = time.time()
            self.read_all(owner)

    def read_all(self, owner):
        """Read the adapters of this bluetoothd; again if it is too busy to answer before the call times out."""
        def failed(_):
            if self.bus.name_has_owner(owner):
                self.read_all(owner)
        proxy = self.bus.get_object(owner, "/", introspect=False)
        proxy.GetManagedObjects(dbus_interface=self.OBJECTS, error_handler=failed,
                                reply_handler=lambda objects: [self.added(*item) for item in objects.items()])

    def added(self, path, interfaces):
        if self.ADAPTER in interfaces:
            self.adapters[path] = dict(interfaces[self.ADAPTER])

    def removed(self, path, interfaces):
        if self.ADAPTER in interfaces:
            self.adapters.pop(path, None)

    def changed(self, _interface, values, _invalidated, path):
        self.adapters.setdefault(path, {}).update(values)

    def path(self, address):
        """The object path of the adapter with this address; None while there is none."""
        return next((path for path, values in self.adapters.items() if values.get("Address") == address), None)

    def powered(self, address):
        """Whether the adapter is there and powered."""
        return bool(self.adapters.get(self.path(address), {}).get("Powered"))

    def set(self, address, name, value):
        """Flip a switch of the adapter, as a settings page would."""
        path = self.path(address)
        if not path:
            raise Failed(f"BlueZ has no {address} whose {name} could be set")
        proxy = self.bus.get_object(self.NAME, path, introspect=False)
        proxy.Set(self.ADAPTER, name, dbus.Boolean(value), dbus_interface=dbus.PROPERTIES_IFACE, signature="ssv")

    def adverts(self, address):
        """How many adverts programs have registered; bluetoothd may set each up again until it goes.
        A bluetoothd that has ended sets up none."""
        path = self.path(address)
        if not path:
            return 0
        proxy = self.bus.get_object(self.NAME, path, introspect=False)
        try:
            return int(proxy.Get("org.bluez.LEAdvertisingManager1", "ActiveInstances",
                                 dbus_interface=dbus.PROPERTIES_IFACE, signature="ss"))
        except dbus.DBusException:
            return 0


def systemctl(*words):
    """Run systemctl; its error message becomes the failure."""
    done = subprocess.run(["systemctl", *words], capture_output=True, text=True)
    if done.returncode:
        raise Failed(f"systemctl {' '.join(words)}: {done.stderr.strip()}")
    return done.stdout.strip()


@contextmanager
def written(path, content):
    """Replace the content of a file, or add a file, for a while."""
    before = None
    if os.path.exists(path):
        with open(path) as file:
            before = file.read()
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w") as file:
        file.write(content)
    try:
        yield
    finally:
        if before is None:
            os.unlink(path)
        else:
            with open(path, "w") as file:
                file.write(before)


def set_rpa_timeout(index, seconds):
    """How long the kernel keeps a resolvable private address on one adapter."""
    if not os.path.ismount(DEBUGFS):
        subprocess.run(["mount", "-t", "debugfs", "debugfs", DEBUGFS], check=True)
    with open(f"{DEBUGFS}/bluetooth/hci{index}/rpa_timeout", "w") as file:
        file.write(str(seconds))


def main_pid(unit):
    """The process of a unit, or 0."""
    return int(systemctl("show", "--property=MainPID", "--value", unit))


def starts_again(unit):
    """Whether systemd restarts a unit that crashed."""
    return systemctl("show", "--property=Restart", "--value", unit) in ("on-failure", "on-abnormal", "on-abort", "always")


def cpu_seconds(pid):
    """User and system time of a process so far."""
    with open(f"/proc/{pid}/stat") as file:
        fields = file.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def resident_kib(pid, kind="VmRSS"):
    """Resident memory of a process; RssAnon is what it holds without the pages of files (proc_pid_status(5))."""
    with open(f"/proc/{pid}/status") as file:
        return int(next(line for line in file if line.startswith(f"{kind}:")).split()[1])


class World:
    """What all scenarios share."""

    def __init__(self):
        self.loop = Loop()
        self.bus = dbus.SystemBus()
        self.bluez = Bluez(self.loop, self.bus)
        self.trace = hcitrace.Trace()
        self.monitor = Monitor(self.trace, f"{RESULTS}/trace.btsnoop")
        self.loop.watch(self.monitor.fileno(), self.read_monitor)

    def read_monitor(self):
        self.monitor.read()
        return True

    def airings(self, address, begin=0.0):
        """What the controller with this public address sent since a moment, wherever it was plugged."""
        return [a for a in self.trace.airings
                if (a.end is None or a.end > begin) and self.trace.controllers[a.index].public == address]

    def wait(self, what, question, seconds):
        return self.loop.wait(what, question, seconds)
