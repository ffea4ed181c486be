"""One reports, another is warned: the second half of the protocol, on the air and by file.

This module parses the file independently, by the specification's own formulas, because the question
is what the file discloses: the scenario looks on the air for every number that can be computed from it.
"""

import hashlib
import json
import os
import subprocess

import judge
from daemon import PERIOD, TCNCTL, contacts, log
from scenarios import BACK_WITHIN, MEETING, scenario, tcns
from world import Failed

SIGNATURE, HEADER = 64, 70
FURTHER = 5000  # numbers past the end of a report that are computed too
STEP = 300  # seconds to which exposures are rounded, outward
ROTATIONS = 3  # after the report


def hash_of(label, *parts):
    return hashlib.sha256(label + b"".join(parts)).digest()


def derivable(file):
    """Every number that can be computed from a file of signed reports. TCN README, "Reporting"."""
    numbers = set()
    while file:
        rvk, tck, memo = file[:32], file[32:64], file[69]
        first, last = (int.from_bytes(file[at:at + 2], "little") for at in (64, 66))
        for index in range(first, min(last + FURTHER, 65535) + 1):
            tck = hash_of(b"H_TCK", rvk, tck)
            numbers.add(hash_of(b"H_TCN", index.to_bytes(2, "little"), tck)[:16])
        file = file[HEADER + memo + SIGNATURE:]
    return numbers


def tcnctl(*words, bus=None, user="root"):
    """The document that a command prints; the command must succeed."""
    command = [TCNCTL, "--json", *(["--bus", f"unix:path={bus}"] if bus else []), *words]
    done = subprocess.run(command, user=user, capture_output=True, text=True, stdin=subprocess.DEVNULL)
    if done.returncode:
        raise Failed(f"tcnctl {' '.join(words)}: {done.returncode}: {done.stderr.strip()}")
    return json.loads(done.stdout)


def spans(state_dir):
    """The contact log: TCN → first and last heard."""
    rows, waiting = log(state_dir, "tcn, quarter * 900 + (span & 1023), span >> 10")
    found = {}
    for tcn, start, length in rows:
        found.setdefault(bytes(tcn), []).append((start, start + length))
    for grown in waiting:
        found.setdefault(grown.tcn, []).append((grown.start, grown.end))
    return found


def expected_span(state_dir, numbers):
    """From the first to the last sighting of these numbers, rounded outward."""
    known = [span for tcn, all in spans(state_dir).items() if tcn in numbers for span in all]
    start, end = min(s for s, _ in known), max(e for _, e in known)
    return start // STEP * STEP, -(-end // STEP) * STEP


@scenario("extended", "report")
def report(bench):
    """One reports by file, the other is warned with the right span, and nothing aired later can be derived."""
    second = bench.start_second()
    path = "/run/tcnd-second/report.tcn"
    try:
        bench.wait("the second daemon to be well", second.watched.well, BACK_WITHIN)
        started_at = bench.now()

        def aired():
            return tcns(bench.world.airings(bench.BRAVO, started_at))
        bench.wait("the first to log two numbers of the second",
                   lambda: len(aired() & contacts(bench.tcnd.state_dir).keys()) >= 2, MEETING)
        before = aired()
        made = tcnctl("report", "create", "--symptoms", "dry-cough", "--linkable", "--yes", bus=second.socket, user="tcnd")
        asked = bench.now()
        tcnctl("report", "export", made["id"], path, bus=second.socket, user="tcnd")
        with open(path, "rb") as file:
            given_away = derivable(file.read())
        if not before <= given_away:
            raise Failed(f"{len(before - given_away)} numbers that were on the air are not in the report")

        # The number is taken off the air a moment after the report; the next comes from another key.
        def later():
            airings = judge.ours(bench.world.airings(bench.BRAVO, asked))
            return {judge.tcn_of(a.data) for a in airings if a.start > asked}
        bench.wait(f"{ROTATIONS} numbers after the report", lambda: len(later()) >= ROTATIONS,
                   (ROTATIONS + 2) * (PERIOD + 3))
        derived = later() & given_away
        if derived:
            raise Failed(f"{len(derived)} of {len(later())} numbers aired after the report can be derived from it")

        [looked] = tcnctl("report", "import", path)["files"]
        if not looked["new_exposures"] or looked["accepted"] != made["parts"]:
            raise Failed(f"the first was not warned: {looked}")
        exposures = tcnctl("exposures")["exposures"]
        span = min(e["from"] for e in exposures), max(e["to"] for e in exposures)
        expected = expected_span(bench.tcnd.state_dir, given_away)
        if span != expected:
            raise Failed(f"warned of {span}, in the log is {expected}")
        said = {e["memo_reading"].split(",")[0] for e in exposures}
        if said != {"dry cough"} or {e["carried"] for e in exposures} != {"direct"}:
            raise Failed(f"the exposures say {exposures}")
        return (f"{made['numbers']} numbers in {made['parts']} signed reports gave away {len(given_away)}, of "
                f"{len(later())} aired later none; {len(exposures)} exposure(s), {span[1] - span[0]} s")
    finally:
        second.stop()
        if os.path.exists(path):
            os.unlink(path)
