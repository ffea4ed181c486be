"""The packages that scripts/package left in target/package, inspected from outside.

A file of contents/ lists every path of each package with its mode and owner. If a change is
intended, the command that the failure names writes the list again.
"""

import re
import subprocess
import tempfile
import unittest
from pathlib import Path

HERE = Path(__file__).resolve().parent
MADE = HERE.parents[1] / "target" / "package"
NAMES = ("tcnd", "tcn-reportd", "tcnd-indicator", "tcnd-window", "tcnd-kiosk")
# Those that are made for this machine's processor alone.
NATIVE = {"tcnd-window"}
PROGRAMS = {"tcnd": ("/usr/libexec/tcnd", "/usr/libexec/tcnd-sync", "/usr/libexec/tcnd-rpa-timeout", "/usr/bin/tcnctl"), "tcn-reportd": ("/usr/libexec/tcn-reportd",), "tcnd-indicator": ("/usr/bin/tcnd-indicator",), "tcnd-window": ("/usr/bin/tcnd-window",), "tcnd-kiosk": ("/usr/libexec/tcnd-kiosk",)}
AUTOSTART = "/etc/xdg/autostart/org.tcncoalition.Tcnd1.Indicator.desktop"
CONFFILES = {"tcnd": ["/etc/tcnd/tcnd-sync.env"], "tcn-reportd": ["/etc/tcnd/reportd.toml"], "tcnd-indicator": [AUTOSTART], "tcnd-window": [], "tcnd-kiosk": ["/etc/tcnd/kiosk.toml"]}
# Those with users, units, and scripts that see to them.
SERVICES = ("tcnd", "tcn-reportd", "tcnd-kiosk")
BELOW_GTK = re.compile(r"lib(cairo2|cairo-gobject2|gdk-pixbuf-2\.0-0|glib2\.0-0|graphene-1\.0-0|harfbuzz0b|pango-1\.0-0|pangocairo-1\.0-0)(t64)?$")
# What a machine calls its processor: Debian, rpm (which has no 32-bit ARM), and file(1); and what runs its programs here.
PROCESSORS = {"amd64": ("x86_64", "64-bit LSB pie executable, x86-64", ()),
              "arm64": ("aarch64", "64-bit LSB pie executable, ARM aarch64", ("qemu-aarch64-static", "-L", "/")),
              "armhf": (None, "32-bit LSB pie executable, ARM, EABI5", ("qemu-arm-static", "-L", "/"))}


def said(*command, **more):
    """What a command prints; if it fails, its error output is shown."""
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **more)
    if done.returncode:
        raise AssertionError(f"{command[0]} failed:\n{done.stdout}{done.stderr}")
    return done.stdout


def made(pattern):
    """The packages of one kind, which must exist."""
    found = sorted(MADE.glob(pattern))
    if not found:
        raise AssertionError(f"no {pattern} in {MADE}; run: scripts/package")
    return found


def debs():
    """Name, architecture and path of each .deb."""
    return [(*re.fullmatch(r"(.*)_.*_(.*)\.deb", path.name).groups(), path) for path in made("*.deb")]


def rpms():
    return [(*re.fullmatch(r"(.*)-.*-1\.(.*)\.rpm", path.name).groups(), path) for path in made("*.rpm")]


def field(path, name):
    return said("dpkg-deb", "--field", path, name).strip()


def needed(path):
    """The packages that a .deb depends on, without their versions."""
    return {re.sub(r" \(.*?\)", "", one) for one in field(path, "Depends").split(", ")}


def deb_contents(path):
    """A line for each path: mode, owner, name."""
    for line in said("dpkg-deb", "--contents", path).splitlines():
        mode, owner, _, _, _, name = line.split(maxsplit=5)
        yield f"{mode} {owner} {name.removeprefix('.')}"


def field_of_rpm(path, name):
    return said("rpm", "-qp", "--qf", f"%{{{name}}}", path)


def rpm_contents(path):
    asked = r"[%{FILEMODES:perms} %{FILEUSERNAME}/%{FILEGROUPNAME} %{FILENAMES} %{FILEFLAGS:fflags}\n]"
    return [line.rstrip() for line in said("rpm", "-qp", "--qf", asked, path).splitlines()]


class Contents(unittest.TestCase):
    """The packages contain these paths, and nothing else."""

    maxDiff = None

    def hold(self, kind, name, lines):
        kept = HERE / "contents" / f"{name}.{kind}"
        lines = sorted(lines, key=lambda line: line.split()[2])
        if not kept.exists() or kept.read_text().splitlines() != lines:
            new = MADE / "contents" / kept.name
            new.parent.mkdir(exist_ok=True)
            new.write_text("\n".join(lines) + "\n")
            self.assertEqual(lines, kept.read_text().splitlines() if kept.exists() else [], f"if that is meant: cp {new} {kept}")

    def test_of_each_deb(self):
        for name, arch, path in debs():
            with self.subTest(package=name, arch=arch):
                self.hold("deb", name, deb_contents(path))

    def test_of_each_rpm(self):
        for name, arch, path in rpms():
            with self.subTest(package=name, arch=arch):
                self.hold("rpm", name, rpm_contents(path))

    def test_both_kinds_come_for_each_processor(self):
        native = PROCESSORS[said("dpkg", "--print-architecture").strip()][0]
        have = {(name, PROCESSORS[arch][0]) for name, arch, _ in debs() if PROCESSORS[arch][0]}
        processors = {arch for _, arch in have} | {native}
        self.assertEqual(have, {(name, arch) for name in NAMES for arch in processors if arch == native or name not in NATIVE})
        self.assertEqual({(name, arch) for name, arch, _ in rpms()}, have)


class Deb(unittest.TestCase):
    def test_dependencies_are_what_runs_and_nothing_that_builds(self):
        service = {"systemd | systemd-standalone-sysusers | systemd-sysusers", "passwd"}
        session = {"default-dbus-session-bus | dbus-session-bus", "tcnd"}
        for name, arch, path in debs():
            with self.subTest(package=name, arch=arch):
                own = {"tcnd": service | {"bluez", "default-dbus-system-bus | dbus-system-bus", "polkitd", "libdbus-1-3"},
                       "tcn-reportd": service, "tcnd-indicator": session, "tcnd-window": session | {"libadwaita-1-0", "libgtk-4-1"},
                       "tcnd-kiosk": service | {"tcnd"}}
                # Which libraries below GTK the window calls too is up to its code, and their names differ between releases.
                below = {one for one in needed(path) if name == "tcnd-window" and BELOW_GTK.match(one)}
                self.assertEqual(needed(path) - below, {"libc6", "libgcc-s1"} | own[name])
                self.assertEqual(field(path, "Architecture"), arch)

    def test_the_window_needs_the_gtk_that_it_is_made_for(self):
        [path] = [path for name, _, path in debs() if name == "tcnd-window"]
        found = dict(re.findall(r"(libgtk-4-1|libadwaita-1-0) \(>= (\d+\.\d+)", field(path, "Depends")))
        self.assertEqual(found, {"libgtk-4-1": "4.8", "libadwaita-1-0": "1.2"})

    def test_settings_are_conffiles_and_nothing_else_is(self):
        for name, arch, path in debs():
            with self.subTest(package=name, arch=arch), tempfile.TemporaryDirectory() as folder:
                said("dpkg-deb", "--control", path, folder)
                listed = Path(folder) / "conffiles"
                self.assertEqual(listed.read_text().split() if listed.exists() else [], CONFFILES[name])

    def test_every_file_has_its_sum(self):
        for name, arch, path in debs():
            with self.subTest(package=name, arch=arch):
                summed = {"/" + line.split("  ")[1] for line in said("dpkg-deb", "--info", path, "md5sums").splitlines()}
                files = {line.split()[2] for line in deb_contents(path) if line.startswith("-")}
                self.assertEqual(summed, files - set(CONFFILES[name]))

    def test_lintian_has_nothing_to_say(self):
        for name, arch, path in debs():
            with self.subTest(package=name, arch=arch):
                said("lintian", "--allow-root", "--fail-on", "error,warning", "--tag-display-limit", "0", path)

    def test_the_scripts_are_sound(self):
        for name, _, path in debs():
            with self.subTest(package=name), tempfile.TemporaryDirectory() as folder:
                said("dpkg-deb", "--control", path, folder)
                scripts = [Path(folder) / script for script in ("postinst", "prerm", "postrm")]
                if name not in SERVICES:
                    self.assertEqual([script for script in scripts if script.exists()], [])
                    continue
                for script in scripts:
                    said("dash", "-n", script)
                # SC2006 and SC2166 are about the style of what debhelper adds.
                said("shellcheck", "--exclude=SC2006,SC2166", *scripts)

    def test_users_come_before_the_bus_and_the_bus_before_the_service(self):
        for _, _, path in debs():
            if path.name.startswith("tcnd_"):
                script = said("dpkg-deb", "--info", path, "postinst")
                order = [script.index(step) for step in ("systemd-sysusers", "systemctl reload dbus", "_dh_action=start")]
                self.assertEqual(order, sorted(order))

    def test_only_tcnd_and_the_page_are_enabled_and_started(self):
        for name, _, path in debs():
            if name not in SERVICES:
                continue
            script = said("dpkg-deb", "--info", path, "postinst")
            enabled = re.findall(r"was-enabled '(.*?)'", re.sub(r"if deb-systemd-helper debian-installed.*?\n\tfi", "", script, flags=re.S))
            started = re.findall(r"deb-systemd-invoke (?:start|\$_dh_action) (.*?) >", script)
            continued = re.findall(r"deb-systemd-invoke try-restart (.*?) >", script)
            with self.subTest(package=name):
                self.assertEqual(enabled, {"tcnd": ["tcnd.service"], "tcn-reportd": [], "tcnd-kiosk": ["tcnd-kiosk.timer"]}[name])
                self.assertEqual(started, {"tcnd": ["'tcnd.service'"], "tcn-reportd": [], "tcnd-kiosk": ["'tcnd-kiosk.timer'"]}[name])
                self.assertEqual(continued, {"tcnd": ["'tcnd-sync.path' 'tcnd-sync.timer'"], "tcn-reportd": ["'tcn-reportd.service'"], "tcnd-kiosk": []}[name])


class Programs(unittest.TestCase):
    """The programs of the packages run."""

    def test_they_are_of_their_processor_stripped_and_say_their_version(self):
        for name, arch, path in debs():
            for program in PROGRAMS[name]:
                with self.subTest(program=program, arch=arch), tempfile.TemporaryDirectory() as folder:
                    said("dpkg-deb", "--extract", path, folder)
                    file = folder + program
                    kind = said("file", "--brief", file)
                    _, processor, run = PROCESSORS[arch]
                    self.assertRegex(kind, rf"^ELF {processor}, .*, stripped$")
                    self.assertEqual(said(*run, file, "--version").split(), [Path(program).name, field(path, "Version")])

    def test_deb_and_rpm_have_the_same_programs(self):
        by = {(name, arch): path for name, arch, path in rpms()}
        for name, arch, path in debs():
            if not PROCESSORS[arch][0]:
                continue
            with self.subTest(package=name, arch=arch), tempfile.TemporaryDirectory() as folder:
                said("dpkg-deb", "--extract", path, folder)
                listed = said("rpm", "-qp", "--qf", r"[%{FILENAMES} %{FILEDIGESTS}\n]", by[name, PROCESSORS[arch][0]])
                digests = dict(line.split() for line in listed.splitlines() if line.count(" ") == 1 and not line.endswith(" "))
                for program in PROGRAMS[name]:
                    self.assertEqual(digests[program], said("sha256sum", folder + program).split()[0])


class Rpm(unittest.TestCase):
    def test_it_needs_what_runs_and_nothing_that_builds(self):
        for name, arch, path in rpms():
            with self.subTest(package=name, arch=arch):
                plain = {line for line in said("rpm", "-qp", "--requires", path).split("\n") if line and "(" not in line}
                own = {"tcnd": {"bluez", "dbus", "polkit", "systemd"}, "tcn-reportd": {"systemd"},
                       "tcnd-indicator": {f"tcnd = {field_of_rpm(path, 'VERSION')}-1", "hicolor-icon-theme"},
                       "tcnd-window": {f"tcnd = {field_of_rpm(path, 'VERSION')}-1", "gtk4 >= 4.8", "hicolor-icon-theme", "libadwaita >= 1.2", "shared-mime-info"},
                       "tcnd-kiosk": {f"tcnd = {field_of_rpm(path, 'VERSION')}-1", "systemd"}}[name]
                self.assertEqual({line for line in plain if not line.startswith("/")}, own)

    def test_the_scripts_are_sound(self):
        for name, _, path in rpms():
            parts = re.split(r"^(?:pre|post)\w* scriptlet \(using /bin/sh\):\n", said("rpm", "-qp", "--scripts", path), flags=re.M)
            self.assertEqual((parts[0], len(parts)), ("", 5 if name in SERVICES else 1))
            for script in parts[1:]:
                # rpm gives the number as $1 without quotes' need.
                said("shellcheck", "--shell=sh", "--exclude=SC2086", "-", input=script)

    def test_it_installs_and_goes_and_leaves_changed_settings(self):
        native = said("uname", "-m").strip()
        with tempfile.TemporaryDirectory() as root:
            rpm = lambda *words: said("rpm", "--root", root, "--dbpath", "/rpm", *words)
            # Neither the packages it needs nor its users are in this root.
            rpm("--install", "--nodeps", "--noscripts", *[path for _, arch, path in rpms() if arch == native])
            self.assertEqual(set(rpm("-qa", "--qf", r"%{NAME}\n").split()), set(NAMES))
            with open(f"{root}/etc/tcnd/tcnd-sync.env", "a") as settings:
                settings.write("ALL_PROXY=socks5h://127.0.0.1:9050\n")
            rpm("--erase", "--nodeps", "--noscripts", *NAMES)
            left = [str(path.relative_to(root)) for path in Path(root).rglob("*") if path.is_file() and path.relative_to(root).parts[0] != "rpm"]
            self.assertEqual(left, ["etc/tcnd/tcnd-sync.env.rpmsave"])


if __name__ == "__main__":
    unittest.main()
