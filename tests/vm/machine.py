"""The virtual machine of the scenarios and of the package test, from the host: its disks, its boots, its reports.

Three disks make the machine:

  root     Debian from packages with nothing of this project in it, of the suite that is asked for:
           its own kernel, systemd, polkit, message bus and BlueZ. Built once by image/build and kept
           in ${XDG_CACHE_HOME:-~/.cache}/tcnd-bench under the suite and the hash of image/'s files.
  payload  made at each run: what is to be tested, and the programs of guest/ that test it. So a
           change of code costs no new root.
  results  the guest leaves its journal and the HCI trace there; they end up in target/.

The guest reports on its second serial line, a line of JSON each; they are shown as they come and
counted. What was asked for and did not report has failed, whatever the reason. The processor is
emulated in software everywhere, KVM or not, so that the figures and the deadlines mean the same on
every machine.
"""

import fcntl
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
PROJECT = HERE.parent.parent
TARGET = Path(os.environ.get("CARGO_TARGET_DIR", PROJECT / "target"))
CACHE = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "tcnd-bench"
# A kernel that panics ends the machine (with -no-reboot). With `auto` the console says what a start waits
# for, and nothing else. The second line switches off hardening of the kernel that costs much under emulation
# and that nothing here is about.
COMMAND_LINE = ("root=/dev/vda console=ttyS0 quiet loglevel=4 mitigations=off systemd.show_status=auto "
                "init_on_alloc=0 hardened_usercopy=off randomize_kstack_offset=off panic=-1")
# A processor without AVX: the C library would use it for each string, and its emulation is slow.
# One is enough, and takes a quarter less of the host's time than two: the emulator then needs no atomic
# instructions for the guest's.
PROCESSOR = ("-cpu", "Nehalem", "-smp", "1")
PACKAGES = ("tcnd", "tcn-reportd", "tcnd-kiosk")
SUITES = {"bookworm": "Debian 12", "trixie": "Debian 13", "forky": "testing, to be Debian 14"}
DEFAULT_SUITE = "trixie"
ROOM_FOR_AN_IMAGE = 3 << 30  # bytes: what is unpacked, and the image made of it
ROOM_FOR_A_RUN = 1 << 30
UP_LIMIT = 420  # seconds until the first report: a start took up to 180 on a busy machine


def add_suite(parser):
    """The option by which a caller chooses the guest's Debian."""
    suites = ", ".join(f"{name} ({what})" for name, what in SUITES.items())
    parser.add_argument("--suite", choices=SUITES, default=DEFAULT_SUITE, metavar="NAME",
                        help=f"the Debian in the machine: {suites}; {DEFAULT_SUITE} unless given")


def stop(message):
    """End with a message about what is wrong and how to mend it."""
    sys.exit(f"{Path(sys.argv[0]).name}: {message}")


def present(command):
    """Whether a command of packages-host.txt can be run."""
    program, *words = command.split()
    if not shutil.which(program):
        return False
    return not words or subprocess.run([program, *words, "--version"], capture_output=True).returncode == 0


def check_host():
    """Every tool there, or the command that brings the missing ones."""
    lines = [line.split("#") for line in (HERE / "packages-host.txt").read_text().splitlines() if line[:1] not in ("#", "")]
    missing = [package.strip() for package, command in lines if not present(command.strip())]
    if missing:
        stop(f"missing on this machine; run: apt-get install --yes {' '.join(missing)}")
    if os.geteuid() != 0:
        stop("needs root: the guest's root file system has to belong to root")


def packages(folder):
    """The packages in a folder, by name; there must be one of each for the guest's processor."""
    found = {name: sorted(Path(folder).glob(f"{name}_*_amd64.deb")) for name in PACKAGES}
    if missing := [name for name, files in found.items() if not files]:
        stop(f"no package {' and '.join(missing)} for amd64 in {folder}; build them with: scripts/package deb")
    if several := [f"{file}" for files in found.values() if len(files) > 1 for file in files]:
        stop(f"which of these? Remove the old ones: {' '.join(several)}")
    return {name: files[0] for name, files in found.items()}


# ---- the root disk

def recipe_hash():
    """Changes when any file of the image's recipe does."""
    sum = hashlib.sha256()
    for path in sorted((HERE / "image").iterdir()):
        sum.update(path.name.encode() + b"\0" + path.read_bytes() + b"\0")
    return sum.hexdigest()[:16]


def check_room(folder, wanted, variable):
    """Enough free space in a folder, before time is spent; or which variable names another one."""
    free = shutil.disk_usage(folder).free
    if free < wanted:
        stop(f"{folder} has {free / (1 << 30):.1f} GiB free, and {wanted / (1 << 30):.0f} are needed; make room there, "
             f"or let {variable} name a folder that has it")


def image(suite):
    """The cached image of a suite, built first if the recipe is new. Building happens in a folder of
    another name, so what is interrupted is never taken for an image."""
    ready = CACHE / f"{suite}-{recipe_hash()}"
    CACHE.mkdir(parents=True, exist_ok=True)
    with open(CACHE / f"lock-{suite}", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not ready.exists():
            begin = time.monotonic()
            print(f"building the guest's root of {suite} (once for each recipe) …", flush=True)
            for old in (*CACHE.glob(f"building-{suite}-*"), *CACHE.glob(f"{suite}-*")):
                shutil.rmtree(old)  # of an earlier recipe, or of a run that was broken off
            check_room(CACHE, ROOM_FOR_AN_IMAGE, "XDG_CACHE_HOME")
            work = Path(tempfile.mkdtemp(dir=CACHE, prefix=f"building-{suite}-"))
            build_image(work, suite)
            work.rename(ready)
            print(f"built in {time.monotonic() - begin:.0f} s", flush=True)
    return ready


def build_image(work, suite):
    """Run the recipe; what it says is shown only when it fails, the fault first."""
    done = subprocess.run([HERE / "image" / "build", work, suite], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if done.returncode:
        shutil.rmtree(work)
        faults = [line for line in done.stdout.splitlines() if line.startswith("E: ")]
        print(done.stdout, file=sys.stderr)
        stop(f"the image of {suite} could not be built: {faults[0][3:] if faults else 'see above'}; it needs Debian's package "
             f"archive, and that the archive still has {suite}; {' and '.join(set(SUITES) - {suite})} may be had meanwhile: --suite")


# ---- a boot

class Machine:
    """The image with a payload. What the guest writes on its root is forgotten at the end of a boot,
    unless the root is another disk than the image's own."""

    def __init__(self, work, payload, kept, limit, suite, root=None):
        self.work, self.kept, self.limit = work, kept, limit
        self.image = image(suite)
        self.root = f"file={root},cache=unsafe" if root else f"file={self.image / 'root.img'},snapshot=on"
        subprocess.run(["mke2fs", "-q", "-F", "-t", "ext4", "-d", payload, work / "payload.img", "192M"], check=True,
                       stdout=subprocess.DEVNULL)
        shutil.rmtree(kept, ignore_errors=True)

    def qemu(self, serial, command_line):
        """The command: a disk each for root, payload and results."""
        disk = "format=raw,if=virtio"
        return ["qemu-system-x86_64", "-machine", "q35", "-accel", "tcg", *PROCESSOR, "-m", "1024",
                "-display", "none", "-monitor", "none", "-no-reboot", "-nic", "none", *serial,
                "-kernel", self.image / "vmlinux", "-initrd", self.image / "initrd.img", "-append", command_line,
                "-drive", f"{self.root},{disk}",
                "-drive", f"file={self.work / 'payload.img'},readonly=on,{disk}",
                "-drive", f"file={self.work / 'results.img'},{disk}"]

    def boot(self, more="", kept=""):
        """Run the guest to its end, with more words for the kernel; what it reported. What it wrote
        is then in a folder of this name. A guest that reports nothing is started once more, and that
        is shown: with two processors the emulator at times ran an int3 that the kernel, which patches
        its own code at the start, had already taken out, and the kernel panicked. One processor has
        not done so yet."""
        reports = self.boot_once(more, kept)
        if not reports:
            print(f"the guest ended, or was ended after {UP_LIMIT} s, without a report, and is started again; the first start is in "
                  f"{self.kept / kept}-hung", flush=True)
            show_console(self.kept / kept)
            (self.kept / kept).rename(f"{self.kept / kept}-hung")
            reports = self.boot_once(more, kept)
        return reports

    def boot_once(self, more, kept):
        with open(self.work / "results.img", "wb") as file:
            file.truncate(128 << 20)
        serial = ["-serial", f"file:{self.work / 'console.txt'}", "-serial", "stdio"]
        guest = subprocess.Popen(self.qemu(serial, f"{COMMAND_LINE} {more}"), stdin=subprocess.DEVNULL,
                                 stdout=subprocess.PIPE, text=True)
        alarms = [threading.Timer(limit, guest.kill) for limit in (self.limit, min(UP_LIMIT, self.limit))]
        for alarm in alarms:
            alarm.start()
        reports = []
        try:
            for line in guest.stdout:
                if report := read(line):
                    reports.append(report)
                    alarms[1].cancel()
            guest.wait()
        finally:
            for alarm in alarms:
                alarm.cancel()
            guest.kill()
            self.keep(self.kept / kept)
        return reports

    def shell(self):
        """The same guest with a root shell on this terminal."""
        with open(self.work / "results.img", "wb") as file:
            file.truncate(128 << 20)
        line = COMMAND_LINE + " systemd.mask=bench.service systemd.debug_shell=ttyS0"
        serial = ["-serial", "mon:stdio", "-serial", f"file:{self.work / 'reports.txt'}"]
        return subprocess.run(self.qemu(serial, line)).returncode

    def keep(self, folder):
        """Leave what the guest wrote where a person finds it."""
        folder.mkdir(parents=True)
        subprocess.run(["tar", "-xf", self.work / "results.img", "-C", folder], capture_output=True)
        if (self.work / "console.txt").exists():
            shutil.copy(self.work / "console.txt", folder)


def read(line):
    """One report of the guest, shown; None for a line that is none."""
    try:
        news = json.loads(line)
    except json.JSONDecodeError:
        print(f"      guest: {line.rstrip()}", flush=True)
        return None
    match news:
        case {"kind": "scenario", "passed": passed, "name": name, "seconds": seconds, "facts": facts}:
            print(f"{'ok  ' if passed else 'FAIL'}  {name:22} {seconds:6.1f} s  {facts}", flush=True)
        case {"kind": "figure" | "note", "text": text}:
            print(f"      {text}", flush=True)
    return news


def show_console(folder, lines=30):
    """The end of the console of a guest that did not finish: most likely what it waits for."""
    consoles = sorted(folder.rglob("console.txt"), key=lambda path: path.stat().st_mtime)
    for path in consoles[-1:]:
        for line in path.read_text(errors="replace").splitlines()[-lines:]:
            print(f"      console: {''.join(c for c in line if c.isprintable())}", flush=True)


def verdict(wanted, reports, kept, boots=1):
    """Count; what did not report has failed, and so has what comes from a guest that did not end."""
    passed = {r["name"] for r in reports if r.get("kind") == "scenario" and r["passed"]}
    silent = [n for n in wanted if n not in {r.get("name") for r in reports}]
    for name in silent:
        print(f"FAIL  {name:22} did not run")
    whole = sum(r.get("kind") == "end" for r in reports) == boots
    if not whole:
        print(f"the guest did not finish; its console and journal are in {kept}")
        show_console(kept)
    failed = len(wanted) - len(passed & set(wanted))
    if failed:
        print(f"journal, console and HCI trace are in {kept}; read a trace with "
              f"python3 {HERE / 'guest' / 'hcitrace.py'} trace.btsnoop")
    print(f"{len(wanted) - failed} passed, {failed} failed")
    return 1 if failed or not whole else 0
