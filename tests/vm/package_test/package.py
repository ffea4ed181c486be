"""The packages: what their installation, upgrade, removal and purge do to a machine."""

import glob
import os
import pwd
import re
import shutil
import sqlite3
import subprocess
import time

import dbus

import listing
from daemon import NAME, contacts
from people import join
from world import RESULTS, Failed, systemctl

PACKAGES, NEWER = "/payload/packages", "/payload/packages-newer"
STATE = "/var/lib/tcnd"
CONFFILE, FRAGMENT = "/etc/tcnd/tcnd-sync.env", "/etc/tcnd/config.d/50-site.toml"
CREDENTIAL = "/etc/credstore.encrypted/tcnd.kek"
EDIT = "# The administrator was here.\nALL_PROXY=socks5h://127.0.0.1:9050\n"
NAMES = ("tcnd", "tcn-reportd", "tcnd-kiosk")
USERS = ("tcnd", "tcnd-sync", "tcn-reportd", "tcnd-kiosk")

# The state of each unit after the installation, by `systemctl is-enabled` and `systemctl is-active`.
UNITS = {
    "tcnd.service": ("enabled", "active"),
    "tcnd-sync.service": ("static", "inactive"),
    "tcnd-sync.timer": ("disabled", "inactive"),
    "tcnd-sync.path": ("disabled", "inactive"),
    "tcn-reportd.service": ("disabled", "inactive"),
    "tcnd-kiosk.timer": ("enabled", "active"),
}
DOCUMENTS = (
    "/usr/share/man/man8/tcnd.8.gz",
    "/usr/share/man/man8/tcnd-sync.8.gz",
    "/usr/share/man/man8/tcn-reportd.8.gz",
    "/usr/share/man/man8/tcnd-kiosk.8.gz",
    "/usr/share/man/man1/tcnctl.1.gz",
    "/usr/share/man/man5/tcnd.toml.5.gz",
    "/usr/share/man/man5/org.tcncoalition.Tcnd1.5.gz",
    "/usr/share/bash-completion/completions/tcnctl",
    "/usr/share/zsh/vendor-completions/_tcnctl",
    "/usr/share/fish/vendor_completions.d/tcnctl.fish",
    "/usr/share/dbus-1/interfaces/org.tcncoalition.Tcnd1.xml",
    "/usr/share/doc/tcnd/copyright",
    "/usr/share/doc/tcnd/changelog*.gz",
    "/usr/share/tcnd/50-tcnd-kiosk.rules",
)
# What the system's own lists contain of tcnd.
CATALOG, ACTIONS = "journalctl --list-catalog", "pkaction"
LISTS = (CATALOG, ACTIONS, "getent passwd", "getent group", "systemctl list-unit-files --no-legend --no-pager")
# What apt and dpkg print when an error did not stop them.
COMPLAINT = re.compile(r"warning|error|fail|unable|cannot|unknown|not found", re.IGNORECASE)


def apt(*words):
    """Run apt-get without a user to answer questions; a complaint is a failure too."""
    done = subprocess.run(["apt-get", "--yes", *words], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, env=os.environ | {"DEBIAN_FRONTEND": "noninteractive"})
    with open(f"{RESULTS}/apt.txt", "a") as file:
        file.write(f"# apt-get {' '.join(words)}\n{done.stdout}\n")
    complaints = [line for line in done.stdout.splitlines() if COMPLAINT.search(line)]
    if done.returncode or complaints:
        raise Failed(f"apt-get {words[0]} ended with {done.returncode}: {' / '.join(complaints or done.stdout.splitlines()[-3:])}")


def files(folder):
    """The packages in a folder."""
    return sorted(f"{folder}/{name}" for name in os.listdir(folder))


def look(keep):
    """Everything in the file system, except what the kernel and the services make again at each boot."""
    skipped = ["-path", keep, "-prune", "-o"]
    found = subprocess.run(["find", "/", "-xdev", *skipped, "-printf", listing.FORMAT], capture_output=True, text=True, check=True)
    sums = subprocess.run("find /etc -type f -exec sha256sum --zero -- {} +", shell=True, capture_output=True, text=True, check=True)
    units = subprocess.run(["systemctl", "list-unit-files", "--no-legend", "--no-pager"], capture_output=True, text=True, check=True)
    return {"files": listing.parse(found.stdout, sums.stdout), "units": sorted(units.stdout.split("\n"))}


def fresh(test):
    """The machine has nothing of the project, and has the message bus that was asked for."""
    if (unit := systemctl("show", "--property=Id", "--value", "dbus.service")) != test.bus:
        raise Failed(f"the message bus is {unit}")
    before = look(test.KEEP)
    if ours := [path for path in before["files"] if listing.OURS in path.lower()]:
        raise Failed(f"not fresh: {ours}")
    test.keep("before", before)
    return f"{len(before['files'])} paths"


def install(test):
    """apt-get installs the packages, without a network, a question or a complaint; only tcnd runs."""
    begin = time.monotonic()
    apt("install", *files(PACKAGES))
    test.figure(f"installed in {time.monotonic() - begin:.1f} s")
    for unit, (enabled, active) in UNITS.items():
        found = tuple(systemctl_says(word, unit) for word in ("is-enabled", "is-active"))
        if found != (enabled, active):
            raise Failed(f"{unit} is {' and '.join(found)}, not {enabled} and {active}")
    for user in USERS:
        if not pwd.getpwnam(user).pw_shell.endswith("/nologin"):
            raise Failed(f"{user} can log in")
    join()
    return ", ".join(subprocess.run(["dpkg-query", "--show", "--showformat=${Package} ${Version}, ", "tcn*"], capture_output=True,
                                    text=True, check=True).stdout.split(", ")[:-1])


def systemctl_says(word, unit):
    """What systemctl says of a unit, whatever its exit status."""
    return subprocess.run(["systemctl", word, unit], capture_output=True, text=True).stdout.strip()


def documented(test):
    """Manual pages, completions, the bus interface and the kiosk's rules are installed; journal and polkit know tcnd."""
    for pattern in DOCUMENTS:
        if not any(os.path.getsize(path) for path in glob.glob(pattern)):
            raise Failed(f"{pattern} is missing or empty")
    known = {command: told_of(command) for command in LISTS}
    if silent := [command for command, lines in known.items() if not lines]:
        raise Failed(f"nothing of tcnd is told by: {', '.join(silent)}")
    return f"{len(DOCUMENTS)} documents, {len(known[CATALOG])} messages, {len(known[ACTIONS])} actions"


def told_of(command):
    """The lines of a list that name the project."""
    told = subprocess.run(command.split(), capture_output=True, text=True, check=True).stdout
    return [line for line in told.splitlines() if listing.OURS in line.lower()]


def upgrade(test):
    """An upgrade to a newer version, from an older log, keeps consent, contacts and an edited configuration, and asks nothing."""
    old = version()
    administer()
    systemctl("stop", "tcnd.service")
    put_older_log()
    known = set(contacts(STATE))
    moment = test.now()
    apt("install", *files(NEWER))
    if version() == old:
        raise Failed(f"it is still {old}")
    test.new_on_air(moment)
    if test.say("Enabled") != 1:
        raise Failed("the consent is lost")
    if not known or not known <= set(contacts(STATE)):
        raise Failed(f"of {len(known)} contacts {len(known & set(contacts(STATE)))} are left")
    same_content(CONFFILE, EDIT)
    same_content(FRAGMENT, 'flush = "2s"\n')
    return f"{old} to {version()}, {len(known)} contacts of an older log kept"


def administer():
    """Change the configuration as an administrator does: edit a file of the package, add a file."""
    with open(CONFFILE, "a") as file:
        file.write(EDIT)
    os.makedirs(os.path.dirname(FRAGMENT), exist_ok=True)
    with open(FRAGMENT, "w") as file:
        file.write('flush = "2s"\n')


def same_content(path, end):
    """Fail unless a file exists and ends like this."""
    with open(path) as file:
        content = file.read()
    if not content.endswith(end):
        raise Failed(f"{path} was changed: {content!r}")


def gone(unit):
    """Fail if systemd or the bus still knows of the service."""
    if (state := systemctl("show", "--property=LoadState", "--value", unit)) != "not-found":
        raise Failed(f"{unit} is {state}")
    bus = dbus.SystemBus()
    if bus.name_has_owner(NAME):
        raise Failed(f"{NAME} is still on the bus")
    if NAME in bus.list_activatable_names():
        raise Failed(f"{NAME} can still be started by the bus")


def remove(test):
    """When it is removed, tcnd leaves air and bus at once; contacts, configuration and users stay."""
    known = set(contacts(STATE))
    moment = test.now()
    apt("remove", *NAMES)
    test.wait("our advert to leave the air", lambda: test.silent_since(moment) is not None, 10)
    gone("tcnd.service")
    if not known or not known <= set(contacts(STATE)):
        raise Failed(f"{len(known)} contacts before, {len(contacts(STATE))} after")
    same_content(CONFFILE, EDIT)
    for user in ("tcnd", "tcnd-sync"):
        pwd.getpwnam(user)
    return f"{len(known)} contacts kept"


def purge(test):
    """After the purge the machine is as it was before: every path, mode and owner, every unit, /etc to the byte."""
    apt("purge", *NAMES)
    gone("tcnd.service")
    before, after = test.kept("before"), look(test.KEEP)
    left = listing.unexplained(before["files"], after["files"])
    left += [f"unit {line}" for line in sorted(set(before["units"]) ^ set(after["units"]))]
    if left:
        with open(f"{RESULTS}/left.txt", "a") as file:
            file.write("\n".join(left) + "\n")
        raise Failed(f"{len(left)} differences: {'; '.join(left[:8])}")
    if told := [line for command in LISTS for line in told_of(command)]:
        raise Failed(f"still known: {told}")
    return f"{len(after['files'])} paths, {len(listing.differences(before['files'], after['files']))} differences, all explained"


def version():
    """The version of tcnd that is installed, by dpkg."""
    return subprocess.run(["dpkg-query", "--show", "--showformat=${Version}", "tcnd"], capture_output=True, text=True, check=True).stdout


def put_older_log():
    """The log of an older format, with its consent and with contacts of yesterday."""
    for name in os.listdir(STATE):
        path = f"{STATE}/{name}"
        (shutil.rmtree if os.path.isdir(path) else os.unlink)(path)
    shutil.copy("/payload/v1.sqlite", f"{STATE}/tcnd.sqlite")
    database = sqlite3.connect(f"{STATE}/tcnd.sqlite")
    yesterday = int(time.time()) // 900 - 96
    with database:
        [(newest,)] = database.execute("SELECT max(quarter) FROM contact")
        database.execute("UPDATE contact SET quarter = quarter + ?", (yesterday - newest,))
        database.execute("DELETE FROM setting WHERE name = 'pause'")
        [(consent,)] = database.execute("SELECT value FROM setting WHERE name = 'consent'")
        [(form,)] = database.execute("PRAGMA user_version")
    database.close()
    if (consent, form) != (1, 1):
        raise Failed(f"the older log has consent {consent} and format {form}")
    subprocess.run(["chown", "--recursive", "tcnd:tcnd", STATE], check=True)
