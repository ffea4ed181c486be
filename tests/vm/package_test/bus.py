"""On the message bus: what tcnd is before consent, how it is started, and who may do what."""

import json
import os
import shutil
import subprocess
from concurrent.futures import ThreadPoolExecutor

import access_matrix
from daemon import MANAGER, NAME, PATH, TCNCTL, UNIT
from people import DONE, MEMBER, NOT_AUTHORISED, STRANGER, at_a_terminal, away, seated
from scenarios import BACK_WITHIN
from world import RESULTS, Failed, main_pid, systemctl

OBSERVED = 10  # seconds for which nothing may happen
HERE = os.path.dirname(os.path.abspath(__file__))
KIOSK, RULES = "/usr/share/tcnd/50-tcnd-kiosk.rules", "/etc/polkit-1/rules.d/50-tcnd-kiosk.rules"


def idle(test):
    """Before a person consents, tcnd runs, is introspectable, has no network, and airs nothing."""
    test.wait("tcnd to be idle", lambda: test.say("State") == "idle", BACK_WITHIN)
    if test.say("Enabled"):
        raise Failed("it is enabled without consent")
    begin = test.now()
    test.wait("the time of observation to be over", lambda: test.now() > begin + OBSERVED, OBSERVED + 5)
    if aired := test.airings():
        raise Failed(f"{len(aired)} own adverts are on the air")
    if scans := [s for s in test.world.trace.scans if s.end is None or s.end > begin]:
        raise Failed(f"{len(scans)} scans")
    no_network(main_pid(UNIT))
    status = away("nobody", "systemctl", "status", "--no-pager", UNIT)
    if status.returncode or "active (running)" not in status.stdout or "Status:" not in status.stdout:
        raise Failed(f"systemctl status: {status.returncode}: {status.stdout}{status.stderr}")
    seen = away("nobody", "busctl", "introspect", NAME, PATH)
    if seen.returncode or not all(f"{NAME}.{name}" in seen.stdout for name in ("Manager", "Contacts", "Reports", "Exposures")):
        raise Failed(f"busctl introspect: {seen.returncode}: {seen.stdout}{seen.stderr}")
    said = next(line.strip() for line in status.stdout.splitlines() if "Status:" in line)
    return f"silent for {OBSERVED} s; {said}"


def no_network(pid):
    """Fail unless a process has a separate network with only the loopback interface in it."""
    if os.readlink(f"/proc/{pid}/ns/net") == os.readlink("/proc/1/ns/net"):
        raise Failed("it has the machine's network")
    with open(f"/proc/{pid}/net/dev") as file:
        devices = [line.split(":")[0].strip() for line in file if ":" in line]
    if devices != ["lo"]:
        raise Failed(f"it has the network devices {devices}")


def ask_state():
    """Read a property with a client that knows nothing of tcnd."""
    return subprocess.run(["busctl", "get-property", NAME, PATH, MANAGER, "State"], capture_output=True, text=True)


def activation(test):
    """The bus starts tcnd for every caller, but only while the administrator has it enabled."""
    systemctl("stop", UNIT)
    started("stopped")
    systemctl("disable", "--now", UNIT)
    try:
        answer = ask_state()
        if not answer.returncode or main_pid(UNIT):
            raise Failed(f"started though it is disabled: {answer.stdout}")
    finally:
        systemctl("enable", UNIT)
    started("enabled again")
    return f"started; disabled, it is not: {answer.stderr.strip()}"


def started(state):
    """Fail unless a call starts it."""
    answer = ask_state()
    if answer.returncode or not main_pid(UNIT):
        raise Failed(f"{state}, it is not started by a call: {answer.stdout}{answer.stderr}")


# ---- who may do what

def everyone(*verbs):
    """The result of every line that begins with these words, for each caller. Callers who may do it run one
    after another; the others run at the same time, because each takes long."""
    may = [caller for caller in access_matrix.CALLERS if caller == "root" or caller.endswith("seated")]
    others = [caller for caller in access_matrix.CALLERS if caller not in may]
    answers = {caller: ask(caller, verbs) for caller in may}
    with ThreadPoolExecutor() as pool:
        answers |= zip(others, pool.map(lambda caller: ask(caller, verbs), others))
    return {line: {caller: answers[caller].get(line, "-") for caller in access_matrix.CALLERS} for line in answers["root"]}


def ask(caller, verbs):
    """The results for one caller."""
    user, _, where = caller.partition(" ")
    user = {"member": MEMBER, "stranger": STRANGER}.get(user, user)
    run = seated if where == "seated" else away
    done = run(user, "env", "PYTHONDONTWRITEBYTECODE=1", "python3", f"{HERE}/caller.py", *verbs)
    if done.returncode:
        raise Failed(f"{caller}: {done.stderr.strip()[-500:]}")
    return json.loads(done.stdout)


def judged(name, found, right):
    """Fail unless the two tables are equal; the one that was found is kept."""
    with open(f"{RESULTS}/{name}.txt", "a") as file:
        file.write(access_matrix.render(found))
    if wrong := access_matrix.faults(found, right):
        raise Failed("; ".join(wrong[:6]))
    return sum(result in ("no", "bus") for row in found.values() for result in row.values())


def off_the_air(test, question):
    """Call while the adapter is switched off, so that a caller who may switch the radio on airs nothing.
    tcnd-sync runs when it is called."""
    begin = test.now()
    systemctl("start", "tcnd-sync.path")
    test.world.bluez.set(test.ADAPTER, "Powered", False)
    try:
        return question()
    finally:
        systemctl("stop", "tcnd-sync.path")
        test.world.bluez.set(test.ADAPTER, "Powered", True)
        test.wait("BlueZ to power the adapter", lambda: test.world.bluez.powered(test.ADAPTER), BACK_WITHIN)
        test.wait("tcnd to be idle again", lambda: test.say("State") == "idle", BACK_WITHIN)
        if test.airings(begin):
            raise Failed("something was on the air meanwhile")


def callers(test):
    """Every method and property against every kind of caller, by the real bus and polkit: the table holds, whole."""
    found = off_the_air(test, lambda: everyone("call", "read", "write"))
    refused = judged("callers", found, access_matrix.parse(access_matrix.TABLE))
    return f"{len(found)} lines, {len(access_matrix.CALLERS)} callers, {refused} refused"


def kiosk(test):
    """With the rules for kiosks only root may do anything, tcnd-sync its exchange, and tcnd-kiosk its page."""
    shutil.copy(KIOSK, RULES)
    os.chmod(RULES, 0o644)
    try:
        systemctl("restart", "polkit.service")
        found = off_the_air(test, lambda: everyone("call"))
    finally:
        os.unlink(RULES)
        systemctl("restart", "polkit.service")
    calls = {line: row for line, row in access_matrix.parse(access_matrix.TABLE).items() if line.startswith("call ")}
    refused = judged("kiosk", found, access_matrix.kiosk(calls))
    return f"{len(found)} lines, {refused} refused"


def consent(test):
    """`tcnctl enable` is refused to a stranger on a terminal and to jobs; a member at the console may."""
    refusals = {
        "a stranger's job": away(STRANGER, TCNCTL, "enable").returncode,
        "a member's job": away(MEMBER, TCNCTL, "enable").returncode,
        "a stranger at a terminal": at_a_terminal(STRANGER, "a guess", TCNCTL, "enable")[0],
    }
    for who, status in refusals.items():
        if status != NOT_AUTHORISED:
            raise Failed(f"{who}: tcnctl enable ended with {status}")
    if test.say("Enabled") or test.airings():
        raise Failed("it is enabled all the same")
    moment = test.now()
    done = seated(MEMBER, TCNCTL, "enable")
    if done.returncode != DONE:
        raise Failed(f"a member at the console: {done.returncode}: {done.stdout}{done.stderr}")
    test.new_on_air(moment)
    return f"{len(refusals)} refused; a member at the console: {done.stdout.strip() or 'done'}"
