"""tcnd as its users see it: a unit or a process, a few D-Bus properties, a database file.

This module alone holds what the bench assumes about the daemon: the names on the bus, the keys of
the configuration, the path of the database, and the one query on it and on the growth beside it.
"""

import os
import sqlite3
import subprocess
import time
from contextlib import contextmanager
from dataclasses import dataclass, replace

import dbus

import growth
from world import SET_UP_WITHIN, Failed, main_pid, systemctl, written

NAME = "org.tcncoalition.Tcnd1"
PATH = "/org/tcncoalition/Tcnd1"
MANAGER = "org.tcncoalition.Tcnd1.Manager"
BINARY = "/usr/libexec/tcnd"
TCNCTL = "/usr/bin/tcnctl"
UNIT = "tcnd.service"

# The daemon connects and accepts connections only if the administrator lets it ask the kernel about privacy.
DROP_IN = "/usr/share/tcnd/full-mode.conf"
DROPPED_IN = "/etc/systemd/system/tcnd.service.d/full-mode.conf"
# The program that tells a controller for how long to use an address that it makes. The bench sets a shorter time.
TIMEOUT_STEP = "/usr/libexec/tcnd-rpa-timeout"
SHORTER = "/etc/systemd/system/tcnd.service.d/shorter.conf"
ADDRESS_TIMEOUT = 30  # the kernel takes no less

# The shortest period that the daemon accepts, and by how much chance may shorten it; in seconds.
PERIOD, JITTER, FLUSH = 10, 3, 2


@dataclass(frozen=True)
class Way:
    """A way to run the daemon: what differs between configurations. Durations in seconds."""

    mode: str = "broadcast"
    period: int = PERIOD
    flush: int = FLUSH
    retention: str | None = "14d"
    bridge_slot: int | None = None
    rpa_timeout: int | None = None
    listen: str | None = None

    @property
    def longest(self):
        """The longest time from one number to the next: as long as the kernel keeps an address, if it does.

        The kernel may keep it an eighth longer: its timers have coarse steps (kernel/time/timer.c).
        """
        return max(self.period, (self.rpa_timeout or 0) * 8 / 7)


RPA_TIMEOUT = 40  # the kernel takes no less than 30

BROADCAST = Way()
IN_USE = Way(period=900, flush=60)  # the defaults
# Long enough for some carried numbers between two of the daemon's own.
FULL = Way(mode="full", period=20, bridge_slot=3, rpa_timeout=RPA_TIMEOUT)
# Long enough for a device that connects and holds on to be disconnected for that alone.
FULL_LASTING = replace(FULL, period=60)
RELAY = Way(mode="relay", period=20, bridge_slot=3, retention=None, rpa_timeout=RPA_TIMEOUT)


def configuration(adapter, way=BROADCAST):
    """Consent, one adapter, and the times of a way."""
    durations = {"tcn_period": way.period, "tcn_jitter": JITTER, "flush": way.flush,
                 "bridge_slot": way.bridge_slot, "rpa_timeout": way.rpa_timeout}
    lines = [f'{key} = "{value}s"' for key, value in durations.items() if value]
    if way.retention:
        lines.append(f'retention = "{way.retention}"')
    if way.listen:
        lines.append(f'listen = "{way.listen}"')
    if way != BROADCAST:
        lines.append(f'mode = "{way.mode}"')
    return "\n".join(["enabled = true", f'adapter = "{adapter}"', *lines, ""])


def log(state_dir, columns):
    """These columns of the contacts, by store/schema.rs, and the growth that is not among them yet."""
    path = f"{state_dir}/tcnd.sqlite"
    if not os.path.exists(path):
        return [], []
    # The file first: what is folded meanwhile is in the database, and so is the mark that says so.
    data = b""
    if os.path.exists(f"{path}-growth"):
        with open(f"{path}-growth", "rb") as file:
            data = file.read()
    database = sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=5)
    try:
        database.execute("BEGIN")
        tables = {name for [name] in database.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")}
        if "contact" not in tables:
            return [], []
        rows = database.execute(f"SELECT {columns} FROM contact").fetchall()
        setting = dict(database.execute("SELECT name, value FROM setting WHERE name LIKE 'growth%'"))
    finally:
        database.close()
    if not setting:
        return rows, []
    return rows, growth.waiting(data, setting["growth_file"], setting["growth_folded"])


def contacts(state_dir):
    """The contact log: TCN → the signal strengths stored with it."""
    rows, waiting = log(state_dir, "tcn, rssi_max, rssi_sum")
    rows += [(grown.tcn, grown.strongest, grown.sum) for grown in waiting]
    found = {}
    for tcn, *strengths in rows:
        found.setdefault(bytes(tcn), []).extend(s for s in strengths if s is not None)
    return found


class Watched:
    """The Manager properties of one tcnd on one bus, with their history."""

    def __init__(self, bus):
        self.bus, self.values, self.history = bus, {}, []
        bus.add_signal_receiver(self.changed, "PropertiesChanged", dbus.PROPERTIES_IFACE, path=PATH)
        bus.watch_name_owner(NAME, self.owner)

    def owner(self, owner):
        """A new daemon: read everything once. An ended one: forget everything."""
        self.values = {}
        if owner:
            proxy = self.bus.get_object(NAME, PATH, introspect=False)
            proxy.GetAll(MANAGER, dbus_interface=dbus.PROPERTIES_IFACE, error_handler=self.unreadable,
                         reply_handler=lambda values: self.changed(MANAGER, values, []))

    def unreadable(self, error):
        self.history.append((time.time(), "error", str(error)))

    def changed(self, interface, values, _invalidated):
        if interface == MANAGER:
            for name, value in values.items():
                value = list(map(str, value)) if name == "Problems" else value
                self.values[name] = value
                self.history.append((time.time(), name, value))

    def problems_since(self, moment):
        """Every problem reported since a moment."""
        return {p for at, name, value in self.history if name == "Problems" and at >= moment for p in value}

    def well(self, tolerated=()):
        """Whether it says that it is on the air and reports only the tolerated problems."""
        v = self.values
        wrong = set(v.get("Problems", ())) - set(tolerated)
        fine = v.get("State") == ("degraded" if v.get("Problems") else "running")
        return bool(v.get("Advertising") and v.get("Scanning") and fine and not wrong)

    def account(self):
        """What it says now, for a failure message."""
        names = ("State", "Mode", "Problems", "Advertising", "Scanning")
        return ", ".join(f"{name} {self.values.get(name, 'unknown')}" for name in names)


class Installed:
    """The daemon as installed: its unit, user, bus policy and hardening as shipped."""

    state_dir = "/var/lib/tcnd"

    def __init__(self, world):
        self.watched = Watched(world.bus)

    def start(self, adapter, way=BROADCAST):
        self.configure(adapter, way)
        systemctl("start", UNIT)

    def reload(self, adapter, way):
        """Run the daemon in another way from its next number on, without a restart."""
        self.configure(adapter, way)
        systemctl("reload", UNIT)

    def configure(self, adapter, way):
        os.makedirs("/etc/tcnd/config.d", exist_ok=True)
        with open("/etc/tcnd/config.d/50-bench.toml", "w") as file:
            file.write(configuration(adapter, way))

    def stop(self):
        systemctl("stop", UNIT)

    def pid(self):
        return main_pid(UNIT)


@contextmanager
def dropped_in():
    """The unit as an administrator changes it for full mode, with the drop-in."""
    with open(DROP_IN) as file:
        content = file.read()
    try:
        with written(DROPPED_IN, content):
            systemctl("daemon-reload")
            yield
    finally:
        systemctl("daemon-reload")


@contextmanager
def shorter_addresses():
    """The step of the drop-in with another time."""
    try:
        with written(SHORTER, f"[Service]\nExecStartPre=\nExecStartPre=-+{TIMEOUT_STEP} --seconds {ADDRESS_TIMEOUT}\n"):
            systemctl("daemon-reload")
            yield
    finally:
        systemctl("daemon-reload")


PRIVATE_BUS = """<busconfig><type>custom</type><listen>{address}</listen><auth>EXTERNAL</auth>
<policy context="default"><allow send_destination="*" eavesdrop="true"/><allow receive_sender="*"/><allow own="*"/><allow user="*"/></policy></busconfig>"""


class Second:
    """Another daemon in the same machine, run by hand. A bus name has one owner, so this daemon gets a
    separate bus; its BlueZ is still the system's."""

    state_dir = "/var/lib/tcnd-second"
    socket = "/run/tcnd-second/bus"

    def __init__(self, world):
        self.world = world

    def start(self, adapter, way=BROADCAST):
        for folder in ("/run/tcnd-second", self.state_dir):
            subprocess.run(["install", "-d", "-m", "700", "-o", "tcnd", folder], check=True)
        self.write("/run/tcnd-second/bus.conf", PRIVATE_BUS.format(address=f"unix:path={self.socket}"))
        self.write("/run/tcnd-second/tcnd.toml", configuration(adapter, way))
        self.run("bench-bus", "dbus-daemon", "--nofork", "--config-file=/run/tcnd-second/bus.conf")
        self.world.wait("the second bus", lambda: os.path.exists(self.socket), SET_UP_WITHIN)
        self.watched = Watched(dbus.bus.BusConnection(f"unix:path={self.socket}"))
        self.run("tcnd-second", BINARY, "--config", "/run/tcnd-second/tcnd.toml",
                 "--state-dir", self.state_dir, "--bus", f"unix:path={self.socket}")

    def write(self, path, content):
        with open(path, "w") as file:
            file.write(content)
        os.chmod(path, 0o644)

    def run(self, unit, *command):
        done = subprocess.run(["systemd-run", "--quiet", f"--unit={unit}", "--property=User=tcnd", *command],
                              capture_output=True, text=True)
        if done.returncode:
            raise Failed(f"{unit}: {done.stderr.strip()}")

    def stop(self):
        systemctl("stop", "tcnd-second.service")
        self.watched.bus.close()
        systemctl("stop", "bench-bus.service")
