"""What people at the machine are told, and what they may do: tcnctl, polkit, passwords.

Scenarios like those of scenarios.py, but seen from a shell. Nothing of polkit is played here: the
answers are polkitd's, by the actions and rules as installed. A person is `away` in a process that
belongs to no session, as in a job; `seated` in a session on the first console, which logind takes
for local and active; or `at_a_terminal` in a session without a seat, as over ssh.
"""

import json
import os
import pwd
import select
import subprocess
import time

from daemon import BROADCAST, TCNCTL
from scenarios import BACK_WITHIN, EVERY, scenario
from world import MAIN_CONF, PRIVACY, Failed, starts_again, systemctl, written

DONE, FAILED, NOT_AUTHORISED = 0, 1, 4
ANSWER_WITHIN = 300  # seconds for a conversation on a terminal; it only ends one that hangs
TYPED_AGAIN_AFTER = 2  # seconds of nothing new on the screen, until the password is typed (again)

MEMBER, STRANGER, ADMIN = "member", "stranger", "admin"
PASSWORD = "correct horse"


def away(user, *command):
    """Run a command as a user without a session."""
    entry = pwd.getpwnam(user)
    groups = os.getgrouplist(user, entry.pw_gid)
    return subprocess.run(command, user=entry.pw_uid, group=entry.pw_gid, extra_groups=groups,
                          stdin=subprocess.DEVNULL, capture_output=True, text=True)


def seated(user, *command):
    """Run a command as a user who is logged in on the console. pam_systemd is told so, because a unit
    has no terminal, and since systemd 256 a session without a terminal is a background session."""
    login = {"XDG_SEAT": "seat0", "XDG_VTNR": "1", "XDG_SESSION_CLASS": "user", "XDG_SESSION_TYPE": "tty"}
    return subprocess.run(["systemd-run", "--quiet", "--wait", "--pipe", "--collect", f"--uid={user}",
                           "--property=PAMName=login", "--property=TTYPath=/dev/tty1",
                           *(f"--setenv={name}={value}" for name, value in login.items()), *command],
                          stdin=subprocess.DEVNULL, capture_output=True, text=True)


def at_a_terminal(user, secret, *command):
    """Run a command as a user on a pseudo-terminal, who types a password when asked for one; returns the
    exit status and all that was on the screen."""
    ours, theirs = os.openpty()
    process = subprocess.Popen(["systemd-run", "--quiet", "--pty", "--wait", "--collect", f"--uid={user}",
                                "--property=PAMName=login", *command], stdin=theirs, stdout=theirs, stderr=theirs)
    os.close(theirs)
    screen, end = "", time.monotonic() + ANSWER_WITHIN
    while time.monotonic() < end:
        if select.select([ours], [], [], TYPED_AGAIN_AFTER)[0]:
            try:
                news = os.read(ours, 4096).decode(errors="replace")
            except OSError:  # the last other end is closed
                os.close(ours)
                return process.wait(), screen
            screen += news
        # pkttyagent discards what was typed before it switched the echo off, just after it asked.
        elif "Password:" in screen:
            os.write(ours, secret.encode() + b"\n")
    process.kill()
    raise Failed(f"nothing more on the terminal after: {screen!r}")


def have_people():
    """Create the three users, once; the member is not in the group yet."""
    for user, more in ((MEMBER, []), (STRANGER, []), (ADMIN, ["--groups", "sudo"])):
        try:
            pwd.getpwnam(user)
        except KeyError:
            subprocess.run(["useradd", "--create-home", *more, user], check=True)
            if user == ADMIN:
                subprocess.run(["chpasswd"], input=f"{ADMIN}:{PASSWORD}\n", text=True, check=True)


def join():
    """The member joins the group of those who may use tcnd."""
    subprocess.run(["usermod", "--append", "--groups", "tcnd", MEMBER], check=True)


# ---- the doctor

def findings(status):
    """What the doctor says to an unprivileged user; it must exit with this status."""
    done = away("nobody", TCNCTL, "doctor", "--json")
    if done.returncode != status:
        raise Failed(f"doctor ended with {done.returncode}, not {status}: {done.stdout}{done.stderr}")
    return json.loads(done.stdout)


def same(what, found, right):
    """Fail unless the two are equal."""
    if found != right:
        raise Failed(f"{what}: {found!r}, not {right!r}")


def adapter(bench, found, address):
    """The doctor's facts about the adapter with this address."""
    name = bench.world.bluez.path(address).rsplit("/", 1)[1]
    return next(a for a in found["adapters"] if a["name"] == name)


def check(found, name, hci):
    """The doctor's check of this name about this adapter."""
    return next(c for c in found["checks"] if c["name"] == name and hci in c["found"].split())


def examine(bench, address, kind):
    """The doctor's facts about a healthy machine, each against another source."""
    found = findings(DONE)
    bluez = subprocess.run(["dpkg-query", "--show", "--showformat=${source:Upstream-Version}", "bluez"],
                           capture_output=True, text=True, check=True).stdout
    clock = subprocess.run(["timedatectl", "show", "--property=NTPSynchronized", "--value"],
                           capture_output=True, text=True, check=True).stdout.strip()
    same("kernel", found["kernel"], os.uname().release)
    same("BlueZ", found["bluez"], bluez)
    same("clock", found["clock_synchronised"], clock == "yes")
    facts = adapter(bench, found, address)
    same("adapter", facts, {"name": facts["name"], "powered": True, "discoverable": False, "advertising": kind, "privacy": "off"})
    text = away("nobody", TCNCTL, "doctor").stdout
    for words in (f"Linux {found['kernel']}", f"version {bluez}", f"{facts['name']} has {kind} advertising",
                  f"privacy        of {facts['name']} is off", "No check failed."):
        if words not in text:
            raise Failed(f"doctor does not say {words!r}: {text}")
    return f"kernel {found['kernel']}, BlueZ {bluez}, {kind} advertising, privacy off"


@scenario("extended", "doctor", suites=EVERY)
def doctor(bench):
    """The doctor tells a stranger the truth about kernel, BlueZ, clock and an extended adapter."""
    facts = examine(bench, bench.ALPHA, "extended")
    # The second adapter, on which no daemon broadcasts.
    bench.world.bluez.set(bench.BRAVO, "Discoverable", True)
    found = findings(FAILED)
    bravo = adapter(bench, found, bench.BRAVO)
    same("bravo is discoverable", bravo["discoverable"], True)
    same("alpha is discoverable", adapter(bench, found, bench.ALPHA)["discoverable"], False)
    same("verdict on discoverable", check(found, "discoverable", bravo["name"])["verdict"], "fail")
    bench.world.bluez.set(bench.BRAVO, "Discoverable", False)
    same("bravo is discoverable", adapter(bench, findings(DONE), bench.BRAVO)["discoverable"], False)
    return facts


ADDRESS_HELD = "address-held"  # the problem while an address outlasts its number


@scenario("extended", "doctor-privacy")
def doctor_privacy(bench):
    """The doctor sees Privacy = device of main.conf in the kernel, and warns; tcnd reports that it waits."""
    try:
        with written(MAIN_CONF, PRIVACY):
            restart(bench, waits_for_an_address=True)
            found = findings(DONE if bench.tcnd.watched.well() else FAILED)
            hci = adapter(bench, found, bench.ALPHA)
            same("privacy", hci["privacy"], "on")
            warning = check(found, "privacy", hci["name"])
            same("verdict on privacy", warning["verdict"], "warn")
    finally:
        restart(bench)
    same("privacy again", adapter(bench, findings(DONE), bench.ALPHA)["privacy"], "off")
    return warning["found"]


def restart(bench, waits_for_an_address=False):
    """A new bluetoothd, and tcnd well on it by the next number. It may have to wait longer for an address, and
    reports that."""
    asked = bench.now()
    systemctl("restart", "--no-block", "bluetooth.service")
    bluez = bench.world.bluez
    bench.wait("BlueZ to be back", lambda: bluez.started_at > asked and bluez.powered(bench.ALPHA), BACK_WITHIN)
    tcnd = bench.tcnd.watched
    bench.wait("tcnd to be well on it",
               lambda: tcnd.well() or (waits_for_an_address and ADDRESS_HELD in tcnd.values.get("Problems", ())),
               BACK_WITHIN + BROADCAST.longest)


@scenario("private", "doctor-full", suites=EVERY)
def doctor_full(bench):
    """The doctor finds a machine fit for full mode, and names file and line of what could be better."""
    found = findings(DONE)
    hci = adapter(bench, found, bench.ALPHA)
    same("mode", found["mode"], "full")
    same("privacy", hci["privacy"], "on")
    for name, words in (("privacy", hci["name"]), ("controller", hci["name"]), ("sandbox", None)):
        of_it = [c for c in found["checks"] if c["name"] == name and (words is None or words in c["found"].split())]
        same(f"verdict on {name}", [c["verdict"] for c in of_it], ["ok"])
    [restart, lookup] = [c for c in found["checks"] if c["name"] in ("restart", "reverse-lookup")]
    # Since Debian 13 its own unit restarts it.
    same("verdict on what follows a crash of bluetoothd", restart["verdict"], "ok" if starts_again("bluetooth.service") else "warn")
    same("verdict on looking up who connects", lookup["verdict"], "warn")
    if MAIN_CONF not in lookup["cure"] or "ReverseServiceDiscovery" not in lookup["cure"]:
        raise Failed(f"the cure names no file: {lookup}")
    return lookup["cure"]


@scenario("legacy", "doctor-legacy")
def doctor_legacy(bench):
    """The same of a legacy adapter."""
    return examine(bench, bench.address, "legacy")


# ---- polkit

PAUSE, CONTACTS = ("pause", "1m"), ("contacts",)
EXPOSURES, REPORTS = ("exposures",), ("report", "list")

# Who, where, what, and whether dbus/actions and dbus/rules.d allow it without a password.
RULES = [
    ("root", away, PAUSE, True),
    ("root", away, CONTACTS, True),
    (MEMBER, away, PAUSE, False),
    (MEMBER, away, CONTACTS, False),
    (STRANGER, away, PAUSE, False),
    (STRANGER, away, CONTACTS, False),
    (MEMBER, seated, PAUSE, True),
    (MEMBER, seated, CONTACTS, True),
    (STRANGER, seated, PAUSE, True),
    (STRANGER, seated, CONTACTS, False),
    ("root", away, EXPOSURES, True),
    (MEMBER, away, EXPOSURES, False),
    (MEMBER, seated, EXPOSURES, True),
    (STRANGER, seated, EXPOSURES, False),
    ("root", away, REPORTS, True),
    # polkit asks for their own password, and there is no agent that could ask them.
    (MEMBER, seated, REPORTS, False),
    (STRANGER, seated, REPORTS, False),
]


@scenario("extended", "polkit", suites=EVERY)
def polkit(bench):
    """The real polkitd admits whom the shipped rules name, and refuses all others in right words."""
    have_people()
    join()
    admitted = 0
    for user, where, words, right in RULES:
        done = where(user, TCNCTL, *words)
        try:
            case = f"{user}, {where.__name__}, {words[0]}: {done.stdout}{done.stderr}"
            same(case, done.returncode, DONE if right else NOT_AUTHORISED)
            if right:
                admitted += 1
            elif "not authorised: " not in done.stderr or "join the group tcnd" not in done.stderr:
                raise Failed(f"refused in other words: {case}")
        finally:  # a pause outlives even the daemon
            if words == PAUSE and done.returncode == DONE:
                same("resume", away("root", TCNCTL, "resume").returncode, DONE)
                bench.wait("tcnd to resume", bench.tcnd.watched.well, BACK_WITHIN)
    return f"{admitted} admitted, {len(RULES) - admitted} refused"


@scenario("extended", "password")
def password(bench):
    """At a terminal polkit asks for an administrator's password: the right one admits, a wrong one does not."""
    have_people()
    join()
    for secret, right in (("wrong", NOT_AUTHORISED), (PASSWORD, DONE)):
        status, screen = at_a_terminal(STRANGER, secret, TCNCTL, *CONTACTS)
        same(f"{secret!r} typed: {screen}", status, right)
        for words in ("view how many contacts this computer recorded", f"Authenticating as: {ADMIN}"):
            if words not in screen:
                raise Failed(f"asked without saying {words!r}: {screen}")
    return "asked in polkit's words, admitted with the password alone"
