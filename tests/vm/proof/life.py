"""A life with tcnd: on the air, over a reboot and a sleep."""

import os
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
SUSPEND_DROP_IN = "/run/systemd/system/systemd-suspend.service.d/proof.conf"
SLEEPS = 2
HEARD = 6  # reports
UNMOVED = 5  # seconds
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


def say(proof, tcn):
    """The phone airs a number."""
    proof.air.order("advertise", tcn=tcn.hex(), interval=PHONE_INTERVAL, rssi=PHONE_RSSI)


def lawful(proof, since=0.0):
    """All that was on the air obeys the rules, and is what an independent listener heard."""
    airings = proof.world.airings(proof.ADAPTER, since)
    heard = [s for s in proof.air.sightings() if judge.tcn_of(s[1]) in tcns(airings)]
    acquit(judge.everywhere(airings), judge.one_address_a_tcn(airings), judge.heard(heard, airings))
    return heard


def on_the_air(proof):
    """An independent phone hears our frame, and its own number is logged."""
    settings(flush="2s")
    say(proof, PHONE_TCN)
    proof.wait("the phone's number to be logged", lambda: PHONE_TCN in contacts(STATE), MEETING)
    proof.wait("the phone to hear us", lambda: lawful(proof), MEETING)
    proof.keep("aired", [[a.address, judge.tcn_of(a.data).hex()] for a in proof.airings()])
    proof.keep("contacts", [tcn.hex() for tcn in contacts(STATE)])
    return f"the phone heard {lawful(proof)[-1][1].hex()}"


def rebooted(proof):
    """After a reboot tcnd is on the air by itself, under another number and address; contacts and consent are kept."""
    aired = proof.new_on_air(0.0)
    if proof.say("Enabled") != 1:
        raise Failed("the consent is lost")
    unlinked(proof.kept("aired"), aired)
    lost = {bytes.fromhex(tcn) for tcn in proof.kept("contacts")} - set(contacts(STATE))
    if lost:
        raise Failed(f"{len(lost)} contacts are lost")
    lawful(proof)
    return f"{len(proof.kept('contacts'))} contacts kept"


def unlinked(before, airings):
    """Fail if an earlier number or address is on the air again."""
    known = {fact for pair in before for fact in pair}
    again = [a for a in airings if {a.address, judge.tcn_of(a.data).hex()} & known]
    if again:
        raise Failed(f"{again[0].address} or its number was on the air before")


# ---- sleep

def login(proof):
    """logind."""
    return dbus.Interface(proof.world.bus.get_object(LOGIN, LOGIN_PATH, introspect=False), LOGIN_MANAGER)


def inhibitor(proof):
    """tcnd's delay of a sleep, if it has one: what, who, why, mode, user, process."""
    mine = [i for i in login(proof).ListInhibitors(dbus_interface=LOGIN_MANAGER) if int(i[5]) == main_pid(UNIT)]
    return next(((str(i[0]), str(i[1]), str(i[3])) for i in mine), None)


def suspended(proof):
    """The kernel freezes the machine twice. Before that tcnd is off the air and its contacts are written;
    afterwards it is back under another number and address."""
    settings(flush="5min")
    took = []
    for number in range(SLEEPS):
        took.append(sleep(proof, number))
    lawful(proof)
    settings(flush="2s")
    return f"back on the air after {' and '.join(f'{seconds:.1f} s' for seconds in took)}"


def sleep(proof, number):
    """One sleep; returns the seconds from its end until we were on the air."""
    right = ("sleep", "tcnd", "delay")
    proof.wait("tcnd to delay a sleep", lambda: inhibitor(proof) == right, BACK_WITHIN)
    tcn = EVENING_TCN[:-1] + bytes([number])
    begin = proof.now()
    say(proof, tcn)
    listened(proof)
    before = [[a.address, judge.tcn_of(a.data).hex()] for a in proof.airings()]
    if not before or tcn in contacts(STATE):
        raise Failed("there is nothing to be seen: not on the air, or the contact is written already")
    asleep, awake = suspend(proof)
    if late := [a for a in proof.airings(begin) if a.start < asleep and (a.end is None or a.end > asleep)]:
        raise Failed(f"{len(late)} adverts of ours were on the air when the machine fell asleep")
    if tcn not in contacts(f"{proof.KEEP}/asleep"):
        raise Failed("when the machine fell asleep, the last contact was not in the log")
    aired = proof.new_on_air(awake)
    if early := [a for a in proof.airings(asleep) if a.start < awake]:
        raise Failed(f"{len(early)} adverts of ours went out between sleep and waking")
    unlinked(before, aired)
    proof.wait("tcnd to delay the next sleep", lambda: inhibitor(proof) == right, BACK_WITHIN)
    return aired[0].start - awake


def listened(proof):
    """Wait until the controller has reported the phone a few times: by then tcnd knows of the first report."""
    trace = proof.world.trace
    index = trace.index_of(proof.ADAPTER)
    start = trace.reports.get(index, 0)
    proof.wait("the controller to hear the phone", lambda: trace.reports.get(index, 0) >= start + HEARD, MEETING)


def suspend(proof):
    """Let logind suspend the machine. The kernel only freezes all processes for five seconds, and thaws them
    (pm_test); nothing could wake a virtual machine from a deeper sleep. Returns the moments of sleep and waking."""
    signals, begin = [], proof.now()
    match = proof.world.bus.add_signal_receiver(lambda begins: signals.append(bool(begins)), "PrepareForSleep",
                                                LOGIN_MANAGER, LOGIN, LOGIN_PATH)
    with open("/sys/power/pm_test", "w") as file:
        file.write("freezer")
    try:
        with written(SUSPEND_DROP_IN, WITNESS.format(keep=f"{proof.KEEP}/asleep", state=STATE)):
            systemctl("daemon-reload")
            systemctl("suspend")
            proof.wait("the machine to wake", lambda: signals and not signals[-1], 60)
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
    return [time_in(f"{proof.KEEP}/asleep/{name}") for name in ("asleep", "awake")]


def time_in(path):
    """The time that was written to a file."""
    with open(path) as file:
        return float(file.read())


def forged_signal(proof):
    """A user who sends a forged sleep signal does not silence the machine."""
    airing = proof.wait("our advert on the air", lambda: next((a for a in proof.airings() if a.end is None), None), BACK_WITHIN)
    done = away("nobody", "busctl", "emit", LOGIN_PATH, LOGIN_MANAGER, "PrepareForSleep", "b", "true")
    if done.returncode:
        raise Failed(f"the signal could not be sent: {done.stderr}")
    begin = proof.now()
    proof.wait("the time of observation to be over", lambda: proof.now() > begin + UNMOVED, UNMOVED + 5)
    if airing.end is not None:
        raise Failed(f"our advert left the air after {airing.end - begin:.1f} s")
    return f"the same advert for {UNMOVED} s on"


# ---- a credential

PLAIN, SEALED = 32, 72  # bytes of a report key in the log
MAKE_CREDENTIAL = f"head -c 32 /dev/urandom | systemd-creds encrypt --with-key=host --name=tcnd.kek - {CREDENTIAL}"


def sealed(proof):
    """With a credential of the machine the report keys are sealed; without it they are not opened, and stay as they are."""
    keys_are(proof, PLAIN, "stored as they are")
    os.makedirs(os.path.dirname(CREDENTIAL), mode=0o700, exist_ok=True)
    made = subprocess.run(MAKE_CREDENTIAL, shell=True, capture_output=True, text=True)
    if made.returncode:
        raise Failed(f"no credential: {made.stderr}")
    restarted(proof)
    number = keys_are(proof, SEALED, "sealed by the credential tcnd.kek")
    os.rename(CREDENTIAL, f"{proof.KEEP}/tcnd.kek")
    try:
        refused = refusal()
    finally:
        os.rename(f"{proof.KEEP}/tcnd.kek", CREDENTIAL)
    restarted(proof)
    keys_are(proof, SEALED, "sealed by the credential tcnd.kek")
    return f"{number} keys sealed; without it: {refused}"


def restarted(proof):
    """tcnd is restarted and is on the air again."""
    moment = proof.now()
    systemctl("restart", UNIT)
    proof.new_on_air(moment)


def keys_are(proof, size, words):
    """Fail unless all report keys in the log have this size and tcnd says so in these words; returns their number."""
    checks = proof.world.bus.get_object(NAME, PATH, introspect=False).SelfTest({}, dbus_interface=MANAGER, signature="a{sv}")
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
