"""Who may do what on the system bus: every member of tcnd, every kind of caller.

The table is what the packages promise; the calls that it is compared with are made by caller.py in
the order of its lines. A line is a call, a read or a write, and then the result of each caller:

  ok    done                    no  refused by polkit, and so by tcnd
  bus   refused by the bus      ro  there is nothing to write

or the error with which tcnd answered a caller who may call it. `seated` is a user in a session at the
console, `away` a user without a session; `member` is in the group tcnd. The adapter is switched off
meanwhile, so tcnd is off the air, and Rotate is answered with NotReady.
"""

CALLERS = ("root", "tcnd", "tcnd-sync", "tcnd-kiosk", "member seated", "member away", "stranger seated", "stranger away", "nobody")

TABLE = """\
call Introspectable.Introspect       ok        ok        ok        ok        ok        ok        ok        ok        ok
call ObjectManager.GetManagedObjects ok        ok        ok        ok        ok        ok        ok        ok        ok
call Peer.GetMachineId               ok        ok        ok        ok        ok        ok        ok        ok        ok
call Peer.Ping                       ok        ok        ok        ok        ok        ok        ok        ok        ok
call Properties.GetAll               ok        ok        ok        ok        ok        ok        ok        ok        ok
call Manager.Enable                  ok        no        no        no        ok        no        ok        no        no
call Manager.Rotate                  NotReady  no        no        no        NotReady  no        NotReady  no        no
call Manager.Pause                   ok        no        no        no        ok        no        ok        no        no
call Manager.Resume                  ok        no        no        no        ok        no        ok        no        no
call Manager.SelfTest                ok        no        no        no        ok        no        ok        no        no
call Manager.Reload                  ok        no        no        no        no        no        no        no        no
call Manager.ConfirmClock            ok        no        no        no        no        no        no        no        no
call Manager.Disable                 ok        no        no        no        ok        no        ok        no        no
call Contacts.GetSummary             ok        no        no        no        ok        no        no        no        no
call Contacts.GetHistogram           ok        no        no        no        ok        no        no        no        no
call Contacts.GetStatistics          ok        no        no        no        ok        no        no        no        no
call Contacts.CountNearby            ok        no        no        no        ok        no        no        no        no
call Contacts.GetActivity            ok        no        no        no        ok        no        no        no        no
call Contacts.GetPresence            ok        no        no        ok        no        no        no        no        no
call Contacts.ExportLog              ok        no        no        no        no        no        no        no        no
call Contacts.Erase                  ok        no        no        no        no        no        no        no        no
call Reports.Preview                 ok        no        no        no        no        no        no        no        no
call Reports.Create                  NoData    no        no        no        no        no        no        no        no
call Reports.List                    ok        no        no        no        no        no        no        no        no
call Reports.Export                  NotFound  no        no        no        no        no        no        no        no
call Reports.Publish                 NotReady  no        no        no        no        no        no        no        no
call Reports.CancelPublish           NotFound  no        no        no        no        no        no        no        no
call Reports.Delete                  NotFound  no        no        no        no        no        no        no        no
call Reports.Import                  Malformed no        no        no        Malformed no        no        no        no
call Reports.Check                   ok        no        no        no        ok        no        no        no        no
call Exposures.List                  ok        no        no        no        ok        no        no        no        no
call Exposures.Get                   NotFound  no        no        no        NotFound  no        no        no        no
call Exposures.GetSummary            ok        no        no        no        ok        no        no        no        no
call Exposures.MarkSeen              NotFound  no        no        no        NotFound  no        no        no        no
call Exposures.Dismiss               NotFound  no        no        no        NotFound  no        no        no        no
call Exposures.Restore               NotFound  no        no        no        NotFound  no        no        no        no
call Exposures.Subscribe             ok        no        no        no        ok        no        no        no        no
call Exposures.Unsubscribe           ok        no        no        no        ok        no        no        no        no
call Exchange.Begin                  bus       bus       ok        bus       bus       bus       bus       bus       bus
call Exchange.Pending                bus       bus       ok        bus       bus       bus       bus       bus       bus
call Exchange.Deliver                bus       bus       ok        bus       bus       bus       bus       bus       bus
call Exchange.TakePart               bus       bus       ok        bus       bus       bus       bus       bus       bus
call Exchange.SettlePart             bus       bus       NotFound  bus       bus       bus       bus       bus       bus
call Exchange.Record                 bus       bus       ok        bus       bus       bus       bus       bus       bus
call Exchange.End                    bus       bus       ok        bus       bus       bus       bus       bus       bus
call Privacy.WipeAll                 ok        no        no        no        no        no        no        no        no
read Adapter.AdvInstancesFree        ok        ok        ok        ok        ok        ok        ok        ok        ok
read Adapter.CanAdvertise            ok        ok        ok        ok        ok        ok        ok        ok        ok
read Adapter.LastProblem             ok        ok        ok        ok        ok        ok        ok        ok        ok
read Adapter.Name                    ok        ok        ok        ok        ok        ok        ok        ok        ok
read Adapter.Powered                 ok        ok        ok        ok        ok        ok        ok        ok        ok
read Adapter.PrivateAddress          ok        ok        ok        ok        ok        ok        ok        ok        ok
read Adapter.RecoveryCount           ok        ok        ok        ok        ok        ok        ok        ok        ok
read Adapter.Selected                ok        ok        ok        ok        ok        ok        ok        ok        ok
read LogControl1.LogLevel            ok        ok        ok        ok        ok        ok        ok        ok        ok
read LogControl1.LogTarget           ok        ok        ok        ok        ok        ok        ok        ok        ok
read LogControl1.SyslogIdentifier    ok        ok        ok        ok        ok        ok        ok        ok        ok
read Manager.Adapter                 ok        ok        ok        ok        ok        ok        ok        ok        ok
read Manager.Advertising             ok        ok        ok        ok        ok        ok        ok        ok        ok
read Manager.ApiLevel                ok        ok        ok        ok        ok        ok        ok        ok        ok
read Manager.Consent                 ok        ok        ok        ok        ok        ok        ok        ok        ok
read Manager.CurrentTcnAge           ok        ok        ok        ok        ok        ok        ok        ok        ok
read Manager.CurrentTcnSince         ok        ok        ok        ok        ok        ok        ok        ok        ok
read Manager.Enabled                 ok        ok        ok        ok        ok        ok        ok        ok        ok
read Manager.Features                ok        ok        ok        ok        ok        ok        ok        ok        ok
read Manager.Mode                    ok        ok        ok        ok        ok        ok        ok        ok        ok
read Manager.PauseHolds              ok        ok        ok        ok        ok        ok        ok        ok        ok
read Manager.PausedUntil             ok        ok        ok        ok        ok        ok        ok        ok        ok
read Manager.ProblemDetails          ok        ok        ok        ok        ok        ok        ok        ok        ok
read Manager.Problems                ok        ok        ok        ok        ok        ok        ok        ok        ok
read Manager.ReportSources           ok        ok        ok        ok        ok        ok        ok        ok        ok
read Manager.ReportsCheckedAt        ok        ok        ok        ok        ok        ok        ok        ok        ok
read Manager.Retention               ok        ok        ok        ok        ok        ok        ok        ok        ok
read Manager.RotationInterval        ok        ok        ok        ok        ok        ok        ok        ok        ok
read Manager.ScanMode                ok        ok        ok        ok        ok        ok        ok        ok        ok
read Manager.ScanModeReason          ok        ok        ok        ok        ok        ok        ok        ok        ok
read Manager.Scanning                ok        ok        ok        ok        ok        ok        ok        ok        ok
read Manager.Simulated               ok        ok        ok        ok        ok        ok        ok        ok        ok
read Manager.State                   ok        ok        ok        ok        ok        ok        ok        ok        ok
read Manager.Version                 ok        ok        ok        ok        ok        ok        ok        ok        ok
write Adapter.AdvInstancesFree       ro        ro        ro        ro        ro        ro        ro        ro        ro
write Adapter.CanAdvertise           ro        ro        ro        ro        ro        ro        ro        ro        ro
write Adapter.LastProblem            ro        ro        ro        ro        ro        ro        ro        ro        ro
write Adapter.Name                   ro        ro        ro        ro        ro        ro        ro        ro        ro
write Adapter.Powered                ro        ro        ro        ro        ro        ro        ro        ro        ro
write Adapter.PrivateAddress         ro        ro        ro        ro        ro        ro        ro        ro        ro
write Adapter.RecoveryCount          ro        ro        ro        ro        ro        ro        ro        ro        ro
write Adapter.Selected               ro        ro        ro        ro        ro        ro        ro        ro        ro
write LogControl1.LogLevel           ok        no        no        no        no        no        no        no        no
write LogControl1.LogTarget          ok        no        no        no        no        no        no        no        no
write LogControl1.SyslogIdentifier   ro        ro        ro        ro        ro        ro        ro        ro        ro
write Manager.Adapter                ro        ro        ro        ro        ro        ro        ro        ro        ro
write Manager.Advertising            ro        ro        ro        ro        ro        ro        ro        ro        ro
write Manager.ApiLevel               ro        ro        ro        ro        ro        ro        ro        ro        ro
write Manager.Consent                ro        ro        ro        ro        ro        ro        ro        ro        ro
write Manager.CurrentTcnAge          ro        ro        ro        ro        ro        ro        ro        ro        ro
write Manager.CurrentTcnSince        ro        ro        ro        ro        ro        ro        ro        ro        ro
write Manager.Enabled                ro        ro        ro        ro        ro        ro        ro        ro        ro
write Manager.Features               ro        ro        ro        ro        ro        ro        ro        ro        ro
write Manager.Mode                   ro        ro        ro        ro        ro        ro        ro        ro        ro
write Manager.PauseHolds             ro        ro        ro        ro        ro        ro        ro        ro        ro
write Manager.PausedUntil            ro        ro        ro        ro        ro        ro        ro        ro        ro
write Manager.ProblemDetails         ro        ro        ro        ro        ro        ro        ro        ro        ro
write Manager.Problems               ro        ro        ro        ro        ro        ro        ro        ro        ro
write Manager.ReportSources          ro        ro        ro        ro        ro        ro        ro        ro        ro
write Manager.ReportsCheckedAt       ro        ro        ro        ro        ro        ro        ro        ro        ro
write Manager.Retention              ro        ro        ro        ro        ro        ro        ro        ro        ro
write Manager.RotationInterval       ro        ro        ro        ro        ro        ro        ro        ro        ro
write Manager.ScanMode               ro        ro        ro        ro        ro        ro        ro        ro        ro
write Manager.ScanModeReason         ro        ro        ro        ro        ro        ro        ro        ro        ro
write Manager.Scanning               ro        ro        ro        ro        ro        ro        ro        ro        ro
write Manager.Simulated              ro        ro        ro        ro        ro        ro        ro        ro        ro
write Manager.State                  ro        ro        ro        ro        ro        ro        ro        ro        ro
write Manager.Version                ro        ro        ro        ro        ro        ro        ro        ro        ro
"""

SHORT = {"NotAuthorized": "no", "AccessDenied": "bus", "UnknownProperty": "ro"}


def parse(table):
    """The results by line and caller."""
    rows = (line.rsplit(maxsplit=len(CALLERS)) for line in table.splitlines())
    return {row[0]: dict(zip(CALLERS, row[1:])) for row in rows}


def render(results):
    """The table of these results; a dash where a caller did not get to the call."""
    columns = lambda row: "".join(f" {row.get(caller, '-'):9}" for caller in CALLERS).rstrip()
    return "".join(f"{what:36}{columns(row)}\n" for what, row in results.items())


def of(error):
    """The result for the name of an error."""
    word = error.rsplit(".", 1)[-1]
    return SHORT.get(word, word)


def kiosk(results):
    """The same calls with the rules for kiosks: of what tcnd asks polkit about, root may do what it
    could before, tcnd-sync the exchange, and tcnd-kiosk ask for presence; no other user may do anything."""
    spared = {"root", "tcnd-sync", "tcnd-kiosk"}
    asked = lambda what, result: not is_open(what) and result != "bus"
    return {what: {caller: "no" if caller not in spared and asked(what, result) else result for caller, result in row.items()}
            for what, row in results.items()}


def is_open(what):
    """Whether a call is one that every service on the bus answers."""
    return what.split()[1].split(".")[0] in ("Introspectable", "ObjectManager", "Peer", "Properties")


def faults(found, right):
    """The differences between two tables, line by line; empty if there are none."""
    found, right = render(found).splitlines(), render(right).splitlines()
    return ([f"found: {line}" for line in found if line not in right]
            + [f"right: {line}" for line in right if line not in found])
