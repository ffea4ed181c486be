"""The content of a file system, and how it differs between two listings.

Two listings are compared in full: path, kind, mode, owner, the target of a link, and below /etc the
content. EXPLAINED lists what may differ all the same, each with its reason. A path that contains the
project's name is never explained.
"""

import re
from fnmatch import fnmatchcase

OURS = "tcn"
# How systemd names the private folder of a service: boot, unit, and six characters by chance
# (exec-invoke.c, setup_one_tmp_dir), which may happen to contain the name.
BY_CHANCE = re.compile(r"(?<=/)(systemd-private-[0-9a-f]{32}-[^/]*-)[^/-]{6}(?=/|$)")

# A path as a shell pattern, in which * matches / too, and why it may come, go or change.
EXPLAINED = [
    ("/etc/passwd-", "the copies that are kept when a user is added or removed"),
    ("/etc/group-", "the same"),
    ("/etc/shadow-", "the same"),
    ("/etc/gshadow-", "the same"),
    ("/var/cache/apt*", "apt's own"),
    ("/var/lib/apt/*", "apt's own"),
    ("/var/log/apt*", "what apt did, for the administrator"),
    ("/var/lib/dpkg/*", "dpkg's own: what is installed, and that before"),
    ("/var/log/dpkg.log", "what dpkg did, for the administrator"),
    ("/tmp/systemd-private-*", "the private folder of a service that runs at the moment"),
    ("/var/tmp/systemd-private-*", "the same"),
    ("/var/cache/debconf/*", "debconf's own: since Debian 13 it unpacks there what packages ask"),
    ("/var/lib/bluetooth/*", "what bluetoothd remembers of devices"),
    ("/etc/credstore.encrypted", "the folder of encrypted credentials, which Debian 12 has not and the administrator made"),
    ("/var/lib/systemd/credential.secret", "the machine's key for credentials, which systemd-creds makes once"),
]


def parse(found, sums=""):
    """A listing, by path, of what `find -printf FORMAT` and `sha256sum --zero` print."""
    listing = {}
    for entry in filter(None, found.split("\0")):
        facts, path = entry.split("\t", 1)
        listing[path] = facts.rstrip()
    for entry in filter(None, sums.split("\0")):
        digest, path = entry.split("  ", 1)
        listing[path] += f" {digest[:16]}"
    return listing


# Kind, mode, owner and group by number, target of a link; path.
FORMAT = "%y %m %U:%G %l\\t%p\\0"


def differences(before, after):
    """What came (+), went (-) and changed (~), by path."""
    came = [(path, f"+ {path} ({after[path]})") for path in after.keys() - before.keys()]
    went = [(path, f"- {path} ({before[path]})") for path in before.keys() - after.keys()]
    changed = [(path, f"~ {path} ({before[path]} is {after[path]})")
               for path in before.keys() & after.keys() if before[path] != after[path]]
    return sorted(came + went + changed)


def is_explained(path):
    """Whether a path may differ."""
    return OURS not in BY_CHANCE.sub(r"\1", path).lower() and any(fnmatchcase(path, pattern) for pattern, _ in EXPLAINED)


def unexplained(before, after):
    """The differences that nothing explains."""
    return [text for path, text in differences(before, after) if not is_explained(path)]
