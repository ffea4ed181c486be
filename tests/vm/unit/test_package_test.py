"""Tests of the judges of the package test: an unchanged machine is acquitted, and what is left, lost or
changed is named; a table that holds is acquitted, and each right too many or too few is named."""

import contextlib
import io
import sys
import tempfile
import unittest
import xml.etree.ElementTree as xml
from pathlib import Path

VM = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(VM), str(VM / "guest"), str(VM / "package_test")]

import access_matrix
import listing
import machine
import plan


def found(*entries):
    """What `find` prints of (facts, path)."""
    return "".join(f"{facts}\t{path}\0" for facts, path in entries)


MACHINE = (
    ("d 755 0:0 ", "/etc"),
    ("f 644 0:0 ", "/etc/passwd"),
    ("l 777 0:0 /lib/systemd/system/dbus.service", "/etc/systemd/system/dbus.service"),
    ("d 755 0:0 ", "/var/lib/strange\nname"),
)
SUMS = "ab" * 32 + "  /etc/passwd\0"


def left(after, sums=SUMS):
    return listing.unexplained(listing.parse(found(*MACHINE), SUMS), listing.parse(found(*after), sums))


class Listings(unittest.TestCase):
    def test_the_same_machine(self):
        self.assertEqual(left(reversed(MACHINE)), [])

    def test_what_is_left_behind(self):
        for path in ("/var/lib/tcnd", "/etc/tcnd/config.d/50-site.toml", "/var/lib/systemd/timers/stamp-tcnd-sync.timer",
                     "/var/lib/dpkg/info/tcnd.postrm", "/var/lib/systemd/deb-systemd-helper-enabled/tcnd.service.dsh-also",
                     "/var/lib/private/x", "/var/lib/strange\n"):
            self.assertEqual(left((*MACHINE, ("f 600 998:998 ", path))), [f"+ {path} (f 600 998:998)"])

    def test_what_is_lost(self):
        self.assertEqual(left(MACHINE[:-1]), ["- /var/lib/strange\nname (d 755 0:0)"])

    def test_another_mode_owner_target_or_kind(self):
        for facts in ("d 700 0:0 ", "d 755 998:0 ", "d 755 0:998 ", "f 755 0:0 "):
            self.assertEqual(len(left(((facts, "/etc"), *MACHINE[1:]))), 1, facts)
        other = ("l 777 0:0 /lib/systemd/system/dbus-broker.service", "/etc/systemd/system/dbus.service")
        self.assertEqual(len(left((*MACHINE[:2], other, MACHINE[3]))), 1)

    def test_another_content_below_etc(self):
        self.assertEqual(len(left(MACHINE, "cd" * 32 + "  /etc/passwd\0")), 1)

    def test_what_is_explained(self):
        for path in ("/etc/passwd-", "/var/log/apt/history.log", "/var/lib/dpkg/status-old", "/tmp/systemd-private-1-x/tmp"):
            self.assertEqual(left((*MACHINE, ("f 644 0:0 ", path))), [], path)

    def test_a_folder_of_systemd_may_contain_the_name_by_chance_but_not_by_its_unit(self):
        folder = f"/var/tmp/systemd-private-{'e4' * 16}-"
        for path in ("bluetooth.service-EX4tcn", "bluetooth.service-EX4tcn/tmp"):
            self.assertEqual(left((*MACHINE, ("d 700 0:0 ", folder + path))), [], path)
        for path in ("tcnd.service-EX4abc", "tcnd.service-EX4abc/tmp", "bluetooth.service-EX4tcn/tcnd", "x-EX4tcnd"):
            self.assertEqual(len(left((*MACHINE, ("d 700 0:0 ", folder + path)))), 1, path)

    def test_an_explanation_is_of_no_more_than_it_says(self):
        for path in ("/etc/passwd-x", "/etc/shadow", "/var/lib/dpkgx", "/tmp/x", "/var/lib/dpkg/triggers/tcnd"):
            self.assertEqual(len(left((*MACHINE, ("f 644 0:0 ", path)))), 1, path)


class Tables(unittest.TestCase):
    def setUp(self):
        self.right = access_matrix.parse(access_matrix.TABLE)

    def changed(self, line, caller, result):
        found = {what: dict(row) for what, row in self.right.items()}
        found[line][caller] = result
        return found

    def test_the_table_reads_as_it_is_written(self):
        self.assertEqual(access_matrix.render(self.right), access_matrix.TABLE)
        self.assertTrue(all(len(row) == len(access_matrix.CALLERS) for row in self.right.values()))

    def test_every_member_of_the_contract_is_in_a_line(self):
        contract = (VM.parent.parent / "dbus/interfaces/org.tcncoalition.Tcnd1.xml").read_text()
        members = set()
        for interface in xml.fromstring(contract).findall("interface"):
            short = interface.get("name").rsplit(".", 1)[1]
            members |= {f"call {short}.{method.get('name')}" for method in interface.findall("method")}
            members |= {f"{verb} {short}.{property.get('name')}"
                        for property in interface.findall("property") for verb in ("read", "write")}
        self.assertEqual(members - set(self.right), set())

    def test_the_table_itself(self):
        self.assertEqual(access_matrix.faults(self.right, self.right), [])

    def test_one_right_too_many_or_too_few(self):
        for line, caller, result in (("call Manager.Enable", "stranger away", "ok"), ("call Exchange.Begin", "root", "no"),
                                   ("read Manager.State", "nobody", "bus"), ("write LogControl1.LogLevel", "member seated", "ok")):
            [got, wanted] = access_matrix.faults(self.changed(line, caller, result), self.right)
            self.assertTrue(got.startswith(f"found: {line}") and wanted.startswith(f"right: {line}"))

    def test_a_member_that_is_in_no_line_and_one_that_is_gone(self):
        more = self.right | {"call Manager.New": {"nobody": "unlisted"}}
        self.assertEqual(len(access_matrix.faults(more, self.right)), 1)
        fewer = {what: row for what, row in self.right.items() if what != "call Manager.Enable"}
        self.assertEqual(len(access_matrix.faults(fewer, self.right)), 1)

    def test_a_caller_who_did_not_come(self):
        found = {what: dict(row) for what, row in self.right.items()}
        del found["read Manager.State"]["nobody"]
        self.assertEqual(len(access_matrix.faults(found, self.right)), 2)

    def test_names_of_errors(self):
        for name, result in (("org.tcncoalition.Tcnd1.Error.NotAuthorized", "no"), ("org.freedesktop.DBus.Error.AccessDenied", "bus"),
                           ("org.freedesktop.DBus.Error.UnknownProperty", "ro"), ("org.tcncoalition.Tcnd1.Error.NoData", "NoData")):
            self.assertEqual(access_matrix.of(name), result)

    def test_a_kiosk(self):
        calls = {what: row for what, row in self.right.items() if what.startswith("call ")}
        kiosk = access_matrix.kiosk(calls)
        self.assertEqual([row["root"] for row in kiosk.values()], [row["root"] for row in calls.values()])
        for what, row in kiosk.items():
            for caller in set(access_matrix.CALLERS) - {"root", "tcnd-sync", "tcnd-kiosk"}:
                self.assertIn(row[caller], ("ok",) if access_matrix.is_open(what) else ("no", "bus"), what)
        self.assertEqual(kiosk["call Exchange.Begin"]["tcnd-sync"], "ok")
        self.assertEqual(kiosk["call Manager.Enable"]["stranger seated"], "no")
        page = {what for what, row in kiosk.items() if row["tcnd-kiosk"] == "ok" and not access_matrix.is_open(what)}
        self.assertEqual(page, {"call Contacts.GetPresence"})


class Counting(unittest.TestCase):
    """A step or scenario that did not report has failed."""

    @staticmethod
    def verdict(reports, boots=1):
        with contextlib.redirect_stdout(io.StringIO()):
            return machine.verdict(["a", "b"], reports, Path("kept"), boots)

    REPORTS = [{"kind": "scenario", "name": "a", "passed": True}, {"kind": "scenario", "name": "b", "passed": True}, {"kind": "end"}]

    def test_all_passed(self):
        self.assertEqual(self.verdict(self.REPORTS), 0)

    def test_one_failed_was_silent_or_the_guest_did_not_end(self):
        failed = [self.REPORTS[0], self.REPORTS[1] | {"passed": False}, self.REPORTS[2]]
        for reports in (failed, self.REPORTS[:1] + self.REPORTS[2:], self.REPORTS[:2], []):
            self.assertEqual(self.verdict(reports), 1)
        self.assertEqual(self.verdict(self.REPORTS, boots=2), 1)

    def test_every_step_has_a_name_of_its_own(self):
        names = [name for bus, boots in plan.MACHINES.items() for boot in range(len(boots)) for name in plan.names(bus, boot)]
        self.assertEqual(len(names), len(set(names)))


class Packages(unittest.TestCase):
    """Without packages, or with too many, there is an error that names the cure."""

    def complaint(self, *names):
        with tempfile.TemporaryDirectory() as folder:
            for name in names:
                (Path(folder) / name).touch()
            with self.assertRaises(SystemExit) as stopped:
                machine.packages(folder)
            return stopped.exception.code

    def test_one_of_each(self):
        with tempfile.TemporaryDirectory() as folder:
            for name in ("tcnd_1_amd64.deb", "tcn-reportd_1_amd64.deb", "tcnd-kiosk_1_amd64.deb", "tcnd_1_arm64.deb", "tcnd-dbgsym_1_amd64.deb"):
                (Path(folder) / name).touch()
            self.assertEqual(machine.packages(folder)["tcnd"].name, "tcnd_1_amd64.deb")

    def test_none_or_one_missing(self):
        for names in ((), ("tcnd_1_amd64.deb",), ("tcnd_1_arm64.deb", "tcn-reportd_1_amd64.deb", "tcnd-kiosk_1_amd64.deb")):
            self.assertIn("scripts/package deb", self.complaint(*names))

    def test_several(self):
        self.assertIn("Remove the old ones", self.complaint("tcnd_1_amd64.deb", "tcnd_2_amd64.deb", "tcn-reportd_1_amd64.deb", "tcnd-kiosk_1_amd64.deb"))


if __name__ == "__main__":
    unittest.main()
