"""A life with tcnd: on the air, over a reboot and a sleep."""

import os
import pwd
import re
import sqlite3
import subprocess

import dbus

import judge
from daemon import MANAGER, NAME, PATH, UNIT, contacts
from package import CREDENTIAL, FRAGMENT, STATE
from people import away
from scenarios import BACK_WITHIN, MEETING, PHONE_INTERVAL, PHONE_RSSI, PHONE_TCN, acquit, tcns
from world import Failed, main_pid, systemctl, written

EVENING_TCN = bytes.fromhex("a7d90c1be34f5682f0c3b5a4968778e1")
LOGIN, LOGIN_PATH, LOGIN_MANAGER = "org.freedesktop.login1", "/org/freedesktop/login1", "org.freedesktop.login1.Manager"
SUSPEND_DROP_IN = "/run/systemd/system/systemd-suspend.service.d/test.conf"
SLEEPS = 2
HEARD = 6  # reports
UNMOVED = 5  # seconds
RESTART = 1  # seconds, the longest that an advert is off the air when the kernel restarts it
# Just before the machine sleeps, when logind has waited for all inhibitors: the time, and what is in the log.
# Just after it wakes, before logind signals that: the time.
WITNESS = """[Service]
ExecStartPre=/bin/rm -rf {keep}
ExecStartPre=/bin/mkdir {keep}
ExecStartPre=/bin/sh -c 'date +%%s.%%N >{keep}/asleep'
ExecStartPre=/bin/sh -c 'cp -a {state}/. {keep}/'
ExecStartPost=/bin/sh -c 'date +%%s.%%N >{keep}/awake'
"""


def settings(**values):
    """An administrator's settings, applied without a restart."""
    os.makedirs(os.path.dirname(FRAGMENT), exist_ok=True)
    with open(FRAGMENT, "w") as file:
        file.write("".join(f'{key} = "{value}"\n' for key, value in values.items()))
    systemctl("reload", UNIT)


def say(test, tcn):
    """The phone airs a number."""
    test.air.order("advertise", tcn=tcn.hex(), interval=PHONE_INTERVAL, rssi=PHONE_RSSI)


def lawful(test, since=0.0):
    """All that was on the air obeys the rules, and is what an independent listener heard."""
    airings = test.world.airings(test.ADAPTER, since)
    heard = [s for s in test.air.sightings() if judge.tcn_of(s[1]) in tcns(airings)]
    acquit(judge.everywhere(airings), judge.one_address_a_tcn(airings), judge.heard(heard, airings))
    return heard


def on_the_air(test):
    """An independent phone hears our frame, and its own number is logged."""
    settings(flush="2s")
    say(test, PHONE_TCN)
    test.wait("the phone's number to be logged", lambda: PHONE_TCN in contacts(STATE), MEETING)
    test.wait("the phone to hear us", lambda: lawful(test), MEETING)
    test.keep("aired", [[a.address, judge.tcn_of(a.data).hex()] for a in test.airings()])
    test.keep("contacts", [tcn.hex() for tcn in contacts(STATE)])
    return f"the phone heard {lawful(test)[-1][1].hex()}"


def page(test):
    """The page of a kiosk: by its timer's service, for everyone to read, with a phone near; it starts no tcnd."""
    service, file = "tcnd-kiosk.service", "/run/tcnd-kiosk/index.html"
    said = written_page(service, file)
    if said["State"] != "working" or said["Devices heard in the last 15 minutes"] != "a few":
        raise Failed(f"the page says {said}")
    status = os.stat(file)
    if (pwd.getpwuid(status.st_uid).pw_name, status.st_mode & 0o777) != ("tcnd-kiosk", 0o644):
        raise Failed(f"{file} has mode {status.st_mode:o} and user {status.st_uid}")
    if away("nobody", "cat", file).stdout.count("<h1>") != 1:
        raise Failed(f"nobody cannot read {file}")
    systemctl("stop", UNIT)
    stopped = written_page(service, file)
    if stopped["State"] != "not running" or main_pid(UNIT):
        raise Failed(f"with tcnd stopped the page says {stopped}")
    if complaints := journal(service):
        raise Failed(f"{service} wrote to the journal: {complaints}")
    moment = test.now()
    systemctl("start", UNIT)
    test.new_on_air(moment)
    return f"{said}; stopped: {stopped['State']}"


def written_page(service, file):
    """The names and values of the page after a run of its service."""
    systemctl("start", service)
    with open(file) as page:
        return dict(re.findall("<dt>(.*?)</dt><dd>(.*?)</dd>", page.read()))


def journal(service):
    """What a service wrote to the journal, and systemd about it."""
    read = ["journalctl", "--quiet", "--output=cat", "--boot", f"--unit={service}"]
    return subprocess.run(read, capture_output=True, text=True, check=True).stdout.strip()


def rebooted(test):
    """After a reboot tcnd is on the air by itself, under another number and address; contacts and consent are kept."""
    aired = test.new_on_air(0.0)
    if test.say("Enabled") != 1:
        raise Failed("the consent is lost")
    unlinked(test.kept("aired"), aired)
    lost = {bytes.fromhex(tcn) for tcn in test.kept("contacts")} - set(contacts(STATE))
    if lost:
        raise Failed(f"{len(lost)} contacts are lost")
    lawful(test)
    return f"{len(test.kept('contacts'))} contacts kept"


def unlinked(before, airings):
    """Fail if an earlier number or address is on the air again."""
    known = {fact for pair in before for fact in pair}
    again = [a for a in airings if {a.address, judge.tcn_of(a.data).hex()} & known]
    if again:
        raise Failed(f"{again[0].address} or its number was on the air before")


# ---- sleep

def login(test):
    """logind."""
    return dbus.Interface(test.world.bus.get_object(LOGIN, LOGIN_PATH, introspect=False), LOGIN_MANAGER)


def inhibitor(test):
    """tcnd's delay of a sleep, if it has one: what, who, why, mode, user, process."""
    mine = [i for i in login(test).ListInhibitors(dbus_interface=LOGIN_MANAGER) if int(i[5]) == main_pid(UNIT)]
    return next(((str(i[0]), str(i[1]), str(i[3])) for i in mine), None)


def suspended(test):
    """The kernel freezes the machine twice. Before that tcnd is off the air and its contacts are written;
    afterwards it is back under another number and address."""
    settings(flush="5min")
    took = []
    for number in range(SLEEPS):
        took.append(sleep(test, number))
    lawful(test)
    settings(flush="2s")
    return f"back on the air after {' and '.join(f'{seconds:.1f} s' for seconds in took)}"


def sleep(test, number):
    """One sleep; returns the seconds from its end until we were on the air."""
    right = ("sleep", "tcnd", "delay")
    test.wait("tcnd to delay a sleep", lambda: inhibitor(test) == right, BACK_WITHIN)
    tcn = EVENING_TCN[:-1] + bytes([number])
    begin = test.now()
    say(test, tcn)
    listened(test)
    before = [[a.address, judge.tcn_of(a.data).hex()] for a in test.airings()]
    if not before or tcn in contacts(STATE):
        raise Failed("there is nothing to be seen: not on the air, or the contact is written already")
    asleep, awake = suspend(test)
    if late := [a for a in test.airings(begin) if a.start < asleep and (a.end is None or a.end > asleep)]:
        raise Failed(f"{len(late)} own adverts were on the air when the machine fell asleep")
    if tcn not in contacts(f"{test.KEEP}/asleep"):
        raise Failed("when the machine fell asleep, the last contact was not in the log")
    aired = test.new_on_air(awake)
    if early := [a for a in test.airings(asleep) if a.start < awake]:
        raise Failed(f"{len(early)} own adverts went out between sleep and waking")
    unlinked(before, aired)
    test.wait("tcnd to delay the next sleep", lambda: inhibitor(test) == right, BACK_WITHIN)
    return aired[0].start - awake


def listened(test):
    """Wait until the controller has reported the phone a few times: by then tcnd knows of the first report."""
    trace = test.world.trace
    index = trace.index_of(test.ADAPTER)
    start = trace.reports.get(index, 0)
    test.wait("the controller to hear the phone", lambda: trace.reports.get(index, 0) >= start + HEARD, MEETING)


def suspend(test):
    """Let logind suspend the machine. The kernel only freezes all processes for five seconds, and thaws them
    (pm_test); nothing could wake a virtual machine from a deeper sleep. Returns the moments of sleep and waking."""
    signals, begin = [], test.now()
    match = test.world.bus.add_signal_receiver(lambda begins: signals.append(bool(begins)), "PrepareForSleep",
                                                LOGIN_MANAGER, LOGIN, LOGIN_PATH)
    with open("/sys/power/pm_test", "w") as file:
        file.write("freezer")
    try:
        with written(SUSPEND_DROP_IN, WITNESS.format(keep=f"{test.KEEP}/asleep", state=STATE)):
            systemctl("daemon-reload")
            systemctl("suspend")
            test.wait("the machine to wake", lambda: signals and not signals[-1], 60)
    finally:
        with open("/sys/power/pm_test", "w") as file:
            file.write("none")
        systemctl("daemon-reload")
        match.remove()
    if signals != [True, False]:
        raise Failed(f"logind told of {signals}")
    if late := subprocess.run(["journalctl", "--quiet", "--unit=systemd-logind", f"--since=@{begin:.0f}", "--grep=timeout is reached"],
                              capture_output=True, text=True).stdout.strip():
        raise Failed(f"logind did not want to wait longer: {late}")
    return [time_in(f"{test.KEEP}/asleep/{name}") for name in ("asleep", "awake")]


def time_in(path):
    """The time that was written to a file."""
    with open(path) as file:
        return float(file.read())


def forged_signal(test):
    """A user who sends a forged sleep signal does not silence the machine."""
    airing = test.wait("our advert on the air", lambda: next((a for a in test.airings() if a.end is None), None), BACK_WITHIN)
    done = away("nobody", "busctl", "emit", LOGIN_PATH, LOGIN_MANAGER, "PrepareForSleep", "b", "true")
    if done.returncode:
        raise Failed(f"the signal could not be sent: {done.stderr}")
    begin = test.now()
    test.wait("the time of observation to be over", lambda: test.now() > begin + UNMOVED, UNMOVED + 5)
    # The kernel restarts an advert now and then, as it is.
    until = begin
    for again in sorted((a for a in test.airings() if a.same(airing)), key=lambda a: a.start):
        if again.start <= until + RESTART:
            until = max(until, test.now() if again.end is None else again.end)
    if until < begin + UNMOVED:
        raise Failed(f"our advert left the air after {until - begin:.1f} s")
    return f"the same advert for {UNMOVED} s on"


# ---- a credential

PLAIN, SEALED = 32, 72  # bytes of a report key in the log
MAKE_CREDENTIAL = f"head -c 32 /dev/urandom | systemd-creds encrypt --with-key=host --name=tcnd.kek - {CREDENTIAL}"


def sealed(test):
    """With a credential of the machine the report keys are sealed; without it they are not opened, and stay as they are."""
    keys_are(test, PLAIN, "stored as they are")
    os.makedirs(os.path.dirname(CREDENTIAL), mode=0o700, exist_ok=True)
    made = subprocess.run(MAKE_CREDENTIAL, shell=True, capture_output=True, text=True)
    if made.returncode:
        raise Failed(f"no credential: {made.stderr}")
    restarted(test)
    number = keys_are(test, SEALED, "sealed by the credential tcnd.kek")
    os.rename(CREDENTIAL, f"{test.KEEP}/tcnd.kek")
    try:
        refused = refusal()
    finally:
        os.rename(f"{test.KEEP}/tcnd.kek", CREDENTIAL)
    restarted(test)
    keys_are(test, SEALED, "sealed by the credential tcnd.kek")
    return f"{number} keys sealed; without it: {refused}"


def restarted(test):
    """tcnd is restarted and is on the air again."""
    moment = test.now()
    systemctl("restart", UNIT)
    test.new_on_air(moment)


def keys_are(test, size, words):
    """Fail unless all report keys in the log have this size and tcnd says so in these words; returns their number."""
    checks = test.world.bus.get_object(NAME, PATH, introspect=False).SelfTest({}, dbus_interface=MANAGER, signature="a{sv}")
    said = next((str(check["detail"]) for check in checks if check["name"] == "keys"), "nothing")
    if words not in said:
        raise Failed(f"tcnd says of its keys: {said}")
    database = sqlite3.connect(f"file:{STATE}/tcnd.sqlite?mode=ro", uri=True, timeout=5)
    sizes = [row[0] for row in database.execute("SELECT length(seed) FROM report_key")]
    database.close()
    if set(sizes) != {size}:
        raise Failed(f"the keys in the log have {sizes} bytes, not {size}")
    return len(sizes)


def refusal():
    """tcnd does not start, says why, and leaves the log as it is; returns the message."""
    systemctl("stop", UNIT)
    with open(f"{STATE}/tcnd.sqlite", "rb") as file:
        before = file.read()
    started = subprocess.run(["systemctl", "start", UNIT], capture_output=True, text=True)
    process = subprocess.run(["journalctl", "--unit", UNIT, "--output=cat", "--lines=20"], capture_output=True, text=True, check=True)
    systemctl("stop", UNIT)
    said = [line for line in process.stdout.splitlines() if "the credential tcnd.kek is missing" in line]
    if not started.returncode or not said:
        raise Failed(f"without the credential: started with {started.returncode}: {process.stdout}")
    with open(f"{STATE}/tcnd.sqlite", "rb") as file:
        if file.read() != before:
            raise Failed("without the credential the log was changed")
    return said[-1].split(";")[0]
