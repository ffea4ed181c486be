"""A keyboard of the owner's: bonded over LE, it sleeps and comes back, while tcnd listens.

Listening is known to make such devices reconnect late and sound stutter. So the same is measured with
tcnd stopped and with tcnd beside it: how long the keyboard takes to be back, and how evenly its reports
come. With tcnd it wakes both while tcnd scans and in a pause between two scans.

The keyboard is Bumble's (hid.py), and its bond, BlueZ's HoG plugin and the kernel's HID layer are real:
a key counts when it is read from /dev/hidraw. A steady stream of reports stands for sound. Sound itself
cannot be had here: BlueZ's A2DP asks for an encrypted link (profiles/audio/a2dp.c), and Bumble's
controller encrypts LE links only.

On this air nothing takes air time: scans, adverts and connections never collide. So the figures show what
kernel, BlueZ and processor make of a listening tcnd, and nothing of how a radio shares its time.
"""

import json
import os
import statistics
import subprocess
from contextlib import contextmanager

import dbus
import dbus.service

import judge
from daemon import Way, contacts
from scenarios import (BACK_WITHIN, MEETING, NOTICED_WITHIN, PHONE_INTERVAL, PHONE_RSSI, PHONE_TCN, RELEASE, SLOW_START,
                       WINDOWS_PERIOD, acquit, scenario)
from world import GUEST, SET_UP_WITHIN, Bluez, Failed

NAME, ADDRESS = "keyboard", "C4:5A:7D:00:00:01"  # a static random address
NUMBER = bytes.fromhex("2c61f8a90be34d57a1937f04d2c85e6b")  # the phone's meanwhile
WAKES = 4
INTERVAL = 50  # ms between adverts while it wants to be connected
TYPED, TYPING = 500, 20  # reports of a stream, and ms from one to the next
STREAM_WITHIN = 60  # seconds
LATER = 3  # seconds by which tcnd may delay the return
WINDOW, LONGEST_PAUSE = 2, 13  # seconds, of the cadence "short-windows"; a connection may end a window
FIRST_LETTER, LETTERS = 0x04, 26  # of hid.py

DEVICE, AGENT = "org.bluez.Device1", "org.bluez.Agent1"
HID = "00001812-0000-1000-8000-00805f9b34fb"


class Consent(dbus.service.Object):
    """The agent of a person who pairs a device without display or keys: it consents."""

    PATH = "/bench/agent"

    @dbus.service.method(AGENT, in_signature="ou")
    def RequestConfirmation(self, device, passkey):
        pass

    @dbus.service.method(AGENT, in_signature="o")
    def RequestAuthorization(self, device):
        pass

    @dbus.service.method(AGENT, in_signature="os")
    def AuthorizeService(self, device, uuid):
        pass

    @dbus.service.method(AGENT)
    def Cancel(self):
        pass

    @dbus.service.method(AGENT)
    def Release(self):
        pass


class Presses:
    """The presses that the kernel's HID layer delivers, as the process of hidraw.py reads them."""

    def __init__(self, world):
        self.loop, self.came, self.rest, self.device = world.loop, [], b"", None  # came: (time, number)
        self.process = subprocess.Popen(["python3", f"{GUEST}/hidraw.py"], stdout=subprocess.PIPE)
        self.watch = self.loop.watch(self.process.stdout.fileno(), self.read)
        self.loop.wait("the reader of hidraw", lambda: self.device is not None, SET_UP_WITHIN)

    def read(self):
        content = os.read(self.process.stdout.fileno(), 1 << 16)
        *lines, self.rest = (self.rest + content).split(b"\n")
        for line in lines:
            match json.loads(line):
                case {"device": device}:
                    self.device = device
                case {"at": at, "report": report}:
                    letters = [usage - FIRST_LETTER for usage in bytes.fromhex(report)[2:5]]
                    self.came.append((at, sum(letter * LETTERS ** place for place, letter in enumerate(letters))))
        return bool(content)

    def since(self, moment):
        return [(at, number) for at, number in self.came if at >= moment]

    def close(self):
        self.loop.unwatch(self.watch)
        self.process.kill()
        self.process.wait()


class Own:
    """The keyboard, as BlueZ shows it, and its presses."""

    def __init__(self, bench):
        self.bench, self.bus, self.values, self.pressed = bench, bench.world.bus, {}, 0
        self.adapter = bench.world.bluez.path(bench.ALPHA)
        self.path = f"{self.adapter}/dev_{ADDRESS.replace(':', '_')}"
        self.presses = Presses(bench.world)
        self.signals = [
            self.bus.add_signal_receiver(self.added, "InterfacesAdded", Bluez.OBJECTS, Bluez.NAME),
            self.bus.add_signal_receiver(self.removed, "InterfacesRemoved", Bluez.OBJECTS, Bluez.NAME),
            self.bus.add_signal_receiver(self.changed, "PropertiesChanged", dbus.PROPERTIES_IFACE, Bluez.NAME, path=self.path)]

    def added(self, path, interfaces):
        if path == self.path and DEVICE in interfaces:
            self.values = dict(interfaces[DEVICE])

    def removed(self, path, interfaces):
        if path == self.path and DEVICE in interfaces:
            self.values = {}

    def changed(self, interface, values, _invalidated):
        if interface == DEVICE:
            self.values.update(values)

    def call(self, path, interface, method, *words, **how):
        proxy = self.bus.get_object(Bluez.NAME, path, introspect=False)
        return proxy.get_dbus_method(method, interface)(*words, **how)

    def close(self):
        self.presses.close()
        for signal in self.signals:
            signal.remove()

    # ---- the bond

    def find(self):
        """As a settings page finds it."""
        self.call(self.adapter, Bluez.ADAPTER, "SetDiscoveryFilter", dbus.Dictionary({"Transport": "le"}, signature="sv"))
        self.call(self.adapter, Bluez.ADAPTER, "StartDiscovery")
        self.bench.wait("BlueZ to find the keyboard", lambda: self.values, MEETING)
        self.call(self.adapter, Bluez.ADAPTER, "StopDiscovery")

    def pair(self):
        """Pair and trust it, until its keys can arrive."""
        answers = []
        self.call(self.path, DEVICE, "Pair", timeout=SET_UP_WITHIN, reply_handler=lambda: answers.append(""),
                  error_handler=lambda error: answers.append(str(error)))
        self.bench.wait("BlueZ to pair", lambda: answers, SET_UP_WITHIN)
        if answers != [""]:
            raise Failed(f"BlueZ did not pair: {answers}")
        self.call(self.path, dbus.PROPERTIES_IFACE, "Set", DEVICE, "Trusted", dbus.Boolean(True), signature="ssv")
        self.bench.wait("BlueZ to subscribe to the reports",
                        lambda: self.bench.air.news("subscribed", NAME) and self.presses.device, SET_UP_WITHIN)

    def shown(self):
        """What BlueZ's Device1 says of it by which tcnd can tell that it is an LE device."""
        service = HID in map(str, self.values.get("UUIDs", ()))
        return (f"{self.values.get('AddressType')} address, appearance {self.values.get('Appearance')}, "
                f"{'with' if service else 'without'} the HID service")

    def forget(self):
        """Remove it and its bond."""
        if self.values:
            self.call(self.adapter, Bluez.ADAPTER, "RemoveDevice", dbus.ObjectPath(self.path))

    # ---- its life

    def sleep(self):
        self.bench.air.order("sleep", name=NAME)
        self.bench.wait("BlueZ to see it asleep", lambda: not self.values.get("Connected"), BACK_WITHIN)

    def linked(self, since):
        """Our controller's connection with it that began since a moment."""
        index = self.bench.world.trace.index_of(self.bench.ALPHA)
        return next((c for c in self.bench.world.trace.connections
                     if c.start >= since and c.index == index and c.peer == ADDRESS), None)

    def ready(self, since):
        """Whether a key pressed now can arrive."""
        told = all(any(news["at"] >= since and news[what] for news in self.bench.air.news(what, NAME))
                   for what in ("encrypted", "subscribed"))
        return told and self.linked(since) and self.values.get("Connected") and self.presses.device

    def wake(self):
        """Wake it, and press a key as soon as that can arrive; what came of it."""
        asked, number = self.bench.now(), self.take(1)
        self.bench.air.order("wake", name=NAME, interval=INTERVAL, rssi=PHONE_RSSI)
        try:
            self.bench.wait("the keyboard to be back", lambda: self.ready(asked), BACK_WITHIN)
            self.bench.air.order("press", name=NAME, number=number)
            self.bench.wait("its key", lambda: number in dict(map(reversed, self.presses.since(asked))), BACK_WITHIN)
        except Failed:
            pass  # the judge says which of them did not come
        link = self.linked(asked)
        keys = [at - asked for at, came in self.presses.since(asked) if came == number]
        return judge.Wake(asked, link.start - asked if link else None, keys[0] if keys else None)

    def stream(self):
        """Let it type; what was sent and what arrived."""
        since, first = self.bench.now(), self.take(TYPED)
        self.bench.air.order("type", name=NAME, first=first, count=TYPED, interval=TYPING)
        [typed] = self.bench.wait("the keyboard to have typed", lambda: [
            news for news in self.bench.air.news("typed", NAME) if news["at"] >= since], STREAM_WITHIN)
        try:
            self.bench.wait("the last of it", lambda: any(n == first + TYPED - 1 for _, n in self.presses.since(since)), MEETING)
        except Failed:
            pass
        return judge.Stream(first, typed["typed"], self.presses.since(since))

    def take(self, count):
        """Numbers for presses, each used once."""
        first, self.pressed = self.pressed, self.pressed + count
        return first


@contextmanager
def bonded(bench):
    """A keyboard that BlueZ has paired, awake and connected; afterwards it is forgotten."""
    bench.air.order("keyboard", name=NAME, address=ADDRESS)
    own, agent = Own(bench), Consent(bench.world.bus, Consent.PATH)
    try:
        own.call("/org/bluez", "org.bluez.AgentManager1", "RegisterAgent", dbus.ObjectPath(Consent.PATH), "NoInputNoOutput")
        bench.air.order("wake", name=NAME, interval=INTERVAL, rssi=PHONE_RSSI)
        own.find()
        own.pair()
        yield own
    finally:
        own.forget()
        own.call("/org/bluez", "org.bluez.AgentManager1", "UnregisterAgent", dbus.ObjectPath(Consent.PATH))
        agent.remove_from_connection()
        bench.air.order("leave", name=NAME)
        own.close()


def scanning(bench, since=0.0):
    """Whether an active scan is on that began since a moment."""
    index = bench.world.trace.index_of(bench.ALPHA)
    return any(s.active and s.end is None and s.index == index and s.start >= since for s in bench.world.trace.scans)


def window(bench):
    """Wait until tcnd starts a scan."""
    since = bench.now()
    bench.wait("tcnd to scan", lambda: scanning(bench, since), LONGEST_PAUSE + 2 * SLOW_START)


def pause(bench):
    """Wait until tcnd does not scan."""
    bench.wait("tcnd to pause", lambda: not scanning(bench), WINDOW + 2 * SLOW_START)


def wakes(bench, own, *moments):
    """The keyboard sleeps, and wakes some times at each of these moments."""
    found = []
    for moment in WAKES * moments:
        own.sleep()
        moment(bench)
        found.append(own.wake())
    return found


def at_once(_bench):
    """Wait for nothing."""


def because_of_it(bench):
    """Wait for tcnd to listen in short windows, because of the keyboard."""
    how = lambda: tuple(str(bench.tcnd.watched.values.get(name)) for name in ("ScanMode", "ScanModeReason"))
    try:
        bench.wait("short windows", lambda: how() == ("short-windows", "device"), NOTICED_WITHIN)
    except Failed as failure:
        raise Failed(f"tcnd listens in the way {how()}, beside a bonded keyboard") from failure


def returns(some):
    """The median times of some wakes, as text."""
    connected, key = (statistics.median(times) for times in ([w.connected for w in some], [w.key for w in some]))
    return f"connected after {connected:.2f} s, first key after {key:.2f} s (median of {len(some)})"


def spread(times):
    """Median, 99th percentile and maximum, as text."""
    some = (statistics.median(times), statistics.quantiles(times, n=100)[98], max(times))
    return ", ".join(f"{1000 * time:.0f}" for time in some) + " ms"


def evenness(stream):
    """How evenly a stream came, as text."""
    return (f"gaps {spread(judge.gaps([at for at, _ in stream.arrived]))}, as sent {spread(judge.gaps(stream.sent))}, "
            f"on their way {spread(judge.delays(stream))}")


@scenario("extended", "keyboard", suites=RELEASE)
def keyboard(bench):
    """A bonded LE keyboard is back as soon beside tcnd as without it, loses no key, and tcnd listens less because of it."""
    with bench.stopped(), bonded(bench) as own:
        bench.air.order("advertise", tcn=PHONE_TCN.hex(), interval=PHONE_INTERVAL, rssi=PHONE_RSSI)
        alone = wakes(bench, own, at_once)
        quiet = own.stream()
        bench.begin(Way(period=WINDOWS_PERIOD))
        because_of_it(bench)
        pause(bench)
        begin = bench.now()
        bench.air.order("advertise", tcn=NUMBER.hex(), interval=PHONE_INTERVAL, rssi=PHONE_RSSI)
        beside = wakes(bench, own, window, pause)
        window(bench)
        busy = own.stream()
        bench.wait("the phone's number to be logged", lambda: NUMBER in contacts(bench.tcnd.state_dir), MEETING)
        end = bench.now()
        index = bench.world.trace.index_of(bench.ALPHA)
        scans = [s for s in bench.world.trace.scans if s.index == index]
        scanned, paused = judge.by_scan(beside, scans)
        acquit(judge.returned(alone + beside), judge.enough(scanned, paused, WAKES // 2))
        for when, some in (("without tcnd", alone), ("while tcnd scans", scanned), ("while tcnd pauses", paused)):
            bench.figure(f"keyboard woken {when}: {returns(some)}")
        acquit(judge.delivered(quiet), judge.delivered(busy))
        for when, stream in (("without tcnd", quiet), ("while tcnd listens", busy)):
            bench.figure(f"{TYPED} reports, {TYPING} ms apart, {when} (median, 99th percentile, longest): {evenness(stream)}")
        acquit(judge.no_later(scanned, alone, LATER), judge.no_later(paused, alone, LATER),
               judge.scanned_in(scans, busy), judge.never_scanned(scans, alone[0].asked, quiet.sent[-1]),
               judge.windows(scans, WINDOW + SLOW_START, LONGEST_PAUSE + WINDOW + SLOW_START, begin, end),
               judge.everywhere(bench.world.airings(bench.ALPHA, bench.began)))
        if not bench.tcnd.watched.well():
            raise Failed("tcnd is not well")
        return (f"{len(alone + beside)} returns, {2 * TYPED} reports, none lost; a phone's number logged meanwhile; "
                f"BlueZ shows a {own.shown()}")
