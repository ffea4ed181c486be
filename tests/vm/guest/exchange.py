"""A report travels: from one machine by its own tcnd-sync to a server, and from there to another.

The server is the installed tcn-reportd, on the loopback interface, where all its traffic is
captured. To close its interval, the clock of the machine is set ahead; afterwards it is set back.
"""

import base64
import os
import pwd
import socket
import sqlite3
import struct
import subprocess
import threading
import time
from contextlib import contextmanager

from daemon import contacts
from reports import tcnctl
from scenarios import BACK_WITHIN, MEETING, scenario, tcns
from world import SET_UP_WITHIN, Failed, systemctl, written

SERVER, PATH_UNIT, SYNC = "tcn-reportd.service", "tcnd-sync.path", "/usr/libexec/tcnd-sync"
PORT = 8080
SOURCES = "/etc/tcnd/sources.d/bench.toml"
SOURCE = f"""[[source]]
name = "bench"
kind = "coepi-v4"
url = "http://127.0.0.1:{PORT}/v4/tcnreport/0.4.0"
label = "The bench"
publish = true
"""
INTERVAL = 21600
MARGIN = 1200  # seconds past the end of an interval, longer than any of these programs waits
CHECKED_WITHIN = 60
FORTNIGHT = 14 * 4  # intervals
# All that an upload contains besides the report: what HTTP/1.1 requires.
HEADERS = {"host", "content-type", "content-length", "accept"}


class Capture:
    """Every byte of TCP on the loopback interface, by connection and direction."""

    ALL = 3  # ETH_P_ALL

    def __enter__(self):
        self.streams, self.done = {}, False
        self.socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(self.ALL))
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16 << 20)
        self.socket.bind(("lo", 0))
        self.socket.settimeout(0.2)
        self.thread = threading.Thread(target=self.read)
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.done = True
        self.thread.join()
        self.socket.close()

    def read(self):
        while not self.done:
            try:
                self.take(self.socket.recv(1 << 16))
            except TimeoutError:
                pass

    def take(self, frame):
        packet = frame[14:]  # after the Ethernet header
        if packet[0] >> 4 != 4 or packet[9] != socket.IPPROTO_TCP:
            return
        segment = packet[(packet[0] & 15) * 4:int.from_bytes(packet[2:4], "big")]
        source, target, sequence = struct.unpack_from("!HHI", segment)
        payload = segment[(segment[12] >> 4) * 4:]
        if payload:
            # The interface shows every packet twice, going out and coming in.
            self.streams.setdefault((source, target), {})[sequence] = payload

    def requests(self):
        """All that each connection sent to the server."""
        return [b"".join(parts[at] for at in sorted(parts))
                for (_, target), parts in sorted(self.streams.items()) if target == PORT]


def uploads(capture):
    """Each upload: its headers and its body."""
    found = []
    for said in capture.requests():
        if said.startswith(b"POST "):
            head, body = said.split(b"\r\n\r\n", 1)
            lines = head.decode().split("\r\n")[1:]
            found.append(({line.split(":")[0].lower() for line in lines}, body))
    return found


def offline(pid):
    """Whether a process is in a separate network, in which nothing was ever sent and no socket is open."""
    with open(f"/proc/{pid}/net/dev") as file:
        devices = [line.split() for line in file.readlines()[2:]]
    quiet = all(d[0] == "lo:" and d[1] == d[9] == "0" for d in devices)
    open_sockets = 0
    for kind in ("tcp", "udp", "raw", "tcp6", "udp6", "raw6", "packet"):
        path = f"/proc/{pid}/net/{kind}"
        if os.path.exists(path):
            with open(path) as file:
                open_sockets += len(file.readlines()) - 1
    return quiet and not open_sockets


def delivered(state_dir):
    """How many intervals the source delivered whole, by store/schema.rs."""
    database = sqlite3.connect(f"file:{state_dir}/tcnd.sqlite?mode=ro", uri=True, timeout=5)
    try:
        return database.execute("SELECT count(*) FROM delivered WHERE source = 'bench'").fetchone()[0]
    finally:
        database.close()


def sync(second, state):
    """A run for the second daemon, which is on a separate bus."""
    done = subprocess.run([SYNC, "--bus", f"unix:path={second.socket}", "--sources", SOURCES,
                           "--state-dir", state, "--now"], user="tcnd", capture_output=True, text=True)
    if done.returncode:
        raise Failed(f"tcnd-sync ended with {done.returncode}: {done.stderr.strip()}")


def set_clock(to):
    subprocess.run(["date", "-u", "-s", f"@{to:.3f}"], check=True, stdout=subprocess.DEVNULL)


@contextmanager
def later(seconds):
    """Set the clock ahead, and afterwards back, adding the time that passed."""
    started_at = time.monotonic()
    real = time.time()
    set_clock(real + seconds)
    try:
        yield
    finally:
        set_clock(real + time.monotonic() - started_at)


def listening():
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", PORT)) == 0


@scenario("extended", "exchange")
def exchange(bench):
    """One publishes, the server's interval closes, the other is warned; a server that is down loses nothing."""
    second, state = bench.start_second(), "/run/tcnd-second/sync"
    os.makedirs(state, exist_ok=True)
    os.chown(state, pwd.getpwnam("tcnd").pw_uid, -1)
    try:
        with written(SOURCES, SOURCE):
            systemctl("start", SERVER, PATH_UNIT)
            bench.wait("the server to listen", listening, SET_UP_WITHIN)
            bench.wait("the second daemon to be well", second.watched.well, BACK_WITHIN)
            started_at = bench.now()
            bench.wait("the first to log a number of the second", lambda: tcns(bench.world.airings(
                bench.BRAVO, started_at)) & contacts(bench.tcnd.state_dir).keys(), MEETING)
            parts = publish(second, state)
            second.stop()
            second = None
            with silence(bench):
                warned = fetched(bench)
            down(bench)
            return f"{parts} part(s) published, {warned}"
    finally:
        if second:
            second.stop()
        systemctl("stop", SERVER, PATH_UNIT)


@contextmanager
def silence(bench):
    """Keep the daemon off the air for a while: frames sent under another clock would be judged by this one."""
    tcnctl("pause", "1h", "--reason", "the clock is set on")
    bench.wait("the first to leave the air", lambda: not bench.tcnd.watched.values.get("Advertising")
               and not bench.tcnd.watched.values.get("Scanning"), BACK_WITHIN)
    try:
        yield
    finally:
        tcnctl("resume")
        bench.wait("the first to be well again", bench.tcnd.watched.well, BACK_WITHIN)


def publish(second, state):
    """The second machine reports to the server; returns how many parts went. Nothing else may go."""
    made = tcnctl("report", "create", "--symptoms", "dry-cough", "--linkable", "--yes", bus=second.socket, user="tcnd")
    sync(second, state)  # from which tcnd learns that there is a server
    tcnctl("report", "publish", made["id"], "--now", "--yes", bus=second.socket, user="tcnd")
    file = "/run/tcnd-second/published.tcn"
    with Capture() as capture:
        sync(second, state)
    reports = tcnctl("report", "list", bus=second.socket, user="tcnd")["reports"]
    [report] = [report for report in reports if report["id"] == made["id"]]
    states = {part["state"] for part in report["uploads"]}
    if states != {"accepted"} or len(report["uploads"]) != made["parts"]:
        raise Failed(f"of {made['parts']} parts: {report['uploads']}")
    tcnctl("report", "export", made["id"], file, "--format", "base64", bus=second.socket, user="tcnd")
    with open(file, "rb") as lines:
        expected = {base64.b64decode(line) for line in lines}
    os.unlink(file)
    sent = uploads(capture)
    if {base64.b64decode(body, validate=True) for _, body in sent} != expected or len(sent) != len(expected):
        raise Failed(f"{len(sent)} uploads are not the {len(expected)} parts of the report")
    more = set().union(*(headers for headers, _ in sent)) - HEADERS
    if more:
        raise Failed(f"uploads say more than they have to: {sorted(more)}")
    return made["parts"]


def fetched(bench):
    """The first machine learns of it at once, and never asks for the interval again once that is over."""
    started_at = time.monotonic()
    checked = tcnctl("report", "check")
    took = time.monotonic() - started_at
    if not checked["new_exposures"] or checked["failed"]:
        raise Failed(f"the first was not warned: {checked}")
    sources = {source for exposure in tcnctl("exposures")["exposures"] for source in exposure["sources"]}
    if "The bench" not in sources:
        raise Failed(f"the exposures come from {sources}")
    # When the clock is set, tcnd corrects the dates of what it heard, so another clock finds nothing new.
    to_the_end = INTERVAL - time.time() % INTERVAL
    with later(to_the_end + MARGIN):
        checked = tcnctl("report", "check")
        if checked["failed"] or checked["new_exposures"]:
            raise Failed(f"the interval is over: {checked}")
        whole = delivered(bench.tcnd.state_dir)
        # Those that were over before, and the one that is over now.
        if whole != FORTNIGHT + 1:
            raise Failed(f"{whole} intervals are delivered, {FORTNIGHT + 1} are over")
        again = tcnctl("report", "check")
        if again["reports"] or again["new_exposures"]:
            raise Failed(f"the same is new again: {again}")
    if not offline(bench.tcnd.pid()):
        raise Failed("tcnd was on a network")
    return f"the other warned {took:.1f} s after it asked, {whole} intervals delivered, tcnd on no network"


def down(bench):
    """A server that is down is reported, and works again when it is back."""
    systemctl("stop", SERVER)
    started_at = bench.now()
    for _ in range(2):
        checked = tcnctl("report", "check")
        if [failure["label"] for failure in checked["failed"]] != ["The bench"]:
            raise Failed(f"the server is down, and the check says {checked}")
    bench.wait("sync-failed among the problems", lambda: "sync-failed" in bench.problems(started_at), CHECKED_WITHIN)
    systemctl("start", SERVER)
    bench.wait("the server to listen again", listening, SET_UP_WITHIN)
    if tcnctl("report", "check")["failed"]:
        raise Failed("the server is back, and the check does not say so")
    bench.wait("the problem to go", lambda: "sync-failed" not in bench.tcnd.watched.values.get("Problems", ()),
               CHECKED_WITHIN)
