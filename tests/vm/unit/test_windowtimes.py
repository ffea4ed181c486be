"""Tests of the judges of the times of windows: what chance draws is acquitted, each link is condemned."""

import random
import sys
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "guest"))

import judge
import windowtimes
from wire import A1, Wire, frame

PERIOD, JITTER, SILENCE = 36, 3, 2  # seconds, of a number
WINDOW, SHORTEST, SPREAD = 5, 18, 5  # seconds, of a window and a pause
LATE = 4
ROTATIONS = 3


class Machine:
    """A machine that rotates and listens. Each subclass differs from tcnd in one thing."""

    def __init__(self, seed, slow=0.3):
        self.chance, self.slow = random.Random(seed), slow
        self.lives, self.windows, now = [], [], 1100.0
        for _ in range(ROTATIONS + 1):
            self.live(now + self.chance.uniform(0, SILENCE))
            now = self.lives[-1][1]

    def live(self, start):
        """One number. Discovery starts before the advert."""
        self.lives.append((start + self.delay(), start + PERIOD - self.chance.uniform(0, JITTER)))
        self.listen(start, self.lives[-1][1])

    def delay(self):
        return self.chance.uniform(0, self.slow)

    def pause(self):
        return SHORTEST + self.chance.uniform(0, SPREAD)

    def listen(self, start, end):
        while start < end:
            stop = start + WINDOW + self.delay()
            self.windows.append((start, min(stop, end)))
            start = stop + self.pause() + self.delay()

    def scans(self):
        """The windows, those that touch as one."""
        scans = []
        for start, end in sorted(self.windows):
            if scans and start <= scans[-1][1]:
                scans[-1] = (scans[-1][0], max(end, scans[-1][1]))
            else:
                scans.append((start, end))
        return scans

    def wire(self):
        """What goes over its HCI; the last number is still on the air."""
        steps = []
        for number, (start, end) in enumerate(self.lives, 1):
            steps.append((start, lambda wire, data=frame(number): wire.advertise_ext(A1, data)))
            if end < self.lives[-1][1]:
                steps.append((end, Wire.disable_ext))
        for start, end in self.scans():
            steps += [(start, lambda wire: wire.scan(active=True)), (end - 0.01, Wire.stop_scan)]
        wire = Wire()
        for at, step in sorted(steps, key=lambda entry: entry[0]):
            wire.now = at
            step(wire)
        return wire

    def by_number(self):
        trace = self.wire().trace
        return windowtimes.by_number(trace.airings, trace.scans)


class FixedPause(Machine):
    """It begins again with each number, and pauses equally long each time."""

    def pause(self):
        return SHORTEST + 2.5


class OwnPause(Machine):
    """The same, with another pause on each machine."""

    def __init__(self, seed):
        self.own = SHORTEST + 4 * (seed % 2)
        super().__init__(seed)

    def pause(self):
        return self.own


class SamePhase(Machine):
    """A rotation starts windows that are drawn, but by the same draws after each rotation."""

    def listen(self, start, end):
        self.chance, before = random.Random(7), self.chance
        super().listen(start, end)
        self.chance = before


class GoesOn(Machine):
    """Windows go on over rotations, with pauses that are drawn."""

    due = 1100.0

    def period(self):
        return WINDOW + self.pause()

    def listen(self, _start, end):
        while self.due < end:
            self.windows.append((self.due, self.due + WINDOW))
            self.due += self.period()


class FixedPeriod(GoesOn):
    """Windows go on over rotations with a fixed period, short enough for two under each number."""

    def period(self):
        return 14.0


class Both(GoesOn):
    """A rotation starts a window, and the windows of before go on as well."""

    def listen(self, start, end):
        self.windows.append((start, start + WINDOW))
        super().listen(start, end)


class Spans(Machine):
    """A window goes on over each rotation."""

    def listen(self, start, end):
        super().listen(start, end)
        self.windows[-1] = (self.windows[-1][0], end + SILENCE + 0.1)


class Waits(Machine):
    """A number ends a fixed time after a window began."""

    def live(self, start):
        super().live(start)
        self.lives[-1] = (self.lives[-1][0], self.windows[-1][0] + 7)


def pair(kind, seed):
    """Two machines."""
    return [kind(2 * seed).by_number(), kind(2 * seed + 1).by_number()]


def faults(machines):
    return windowtimes.unlinked(machines, LATE, SHORTEST, SPREAD)


class Acquitted(unittest.TestCase):
    def test_pauses_that_are_drawn(self):
        for seed in range(300):
            self.assertEqual(faults(pair(Machine, seed)), [], seed)

    def test_pauses_that_are_drawn_on_a_slow_machine(self):
        slow = lambda seed: Machine(seed, slow=1.5)
        for seed in range(300):
            self.assertEqual(faults(pair(slow, seed)), [], seed)

    def test_each_log_has_enough_of_everything(self):
        [*machines] = pair(Machine, 1)
        self.assertEqual([len(windowtimes.rotations(numbers)) for numbers in machines], [ROTATIONS, ROTATIONS])
        self.assertTrue(all(len(windows.pauses) == 1 for numbers in machines for windows in numbers))

    def test_a_scan_that_a_kernel_stops_for_a_moment(self):
        wire = Wire().advertise_ext(A1, frame(1)).scan(active=True).wait(2).stop_scan().wait(0.2).scan(active=True).wait(3)
        [windows] = windowtimes.by_number(wire.trace.airings, wire.stop_scan().trace.scans)
        self.assertEqual(len(windows.spans), 1)

    def test_a_passive_scan_is_not_seen(self):
        wire = Wire().advertise_ext(A1, frame(1)).scan(active=False)
        self.assertEqual(windowtimes.by_number(wire.trace.airings, wire.trace.scans)[0].spans, [])


class Condemned(unittest.TestCase):
    def condemn(self, kind, *words, acquitting=()):
        """Each of some logs, by each of these faults, and by none of those."""
        for seed in range(20):
            found = "; ".join(faults(pair(kind, seed)))
            for word in words:
                self.assertIn(word, found, f"{kind.__name__} {seed}")
            for word in acquitting:
                self.assertNotIn(word, found, f"{kind.__name__} {seed}")

    def test_a_fixed_pause(self):
        self.condemn(FixedPause, "the pause was the same", "a guess by last pause", acquitting=["without a window"])

    def test_a_pause_of_the_machine(self):
        self.condemn(OwnPause, "a guess by last pause", acquitting=["the pause was the same"])

    def test_a_fixed_period_that_goes_on_over_rotations(self):
        self.condemn(FixedPeriod, "without a window", "last start and mean period", "last start and last period")

    def test_drawn_pauses_that_go_on_over_rotations(self):
        self.condemn(GoesOn, "without a window")

    def test_a_rotation_that_starts_one_window_more(self):
        self.condemn(Both, "paused for only")

    def test_a_rotation_that_starts_windows_of_the_same_phase(self):
        self.condemn(SamePhase, "a guess by same phase", "a guess by last pause", acquitting=["without a window"])

    def test_a_window_over_a_rotation(self):
        self.condemn(Spans, "went on from one number to the next")

    def test_a_rotation_a_fixed_time_after_a_window(self):
        self.condemn(Waits, "from the last window to a rotation was the same")

    def test_a_log_that_is_too_short(self):
        numbers = pair(Machine, 1)
        self.assertIn("only 3 rotations", "; ".join(faults(numbers[:1])))
        self.assertIn("the pause was seen only 4 times", "; ".join(faults(numbers[:1])))


class OfWindows(unittest.TestCase):
    """The judge of their lengths, judge.windows."""

    def test_windows_and_pauses(self):
        machine = Machine(1)
        begin, end = machine.windows[0][0], machine.windows[-1][1]
        judged = lambda window, pause: judge.windows(machine.wire().trace.scans, window, pause, begin, end)
        self.assertEqual(judged(WINDOW + 1, SHORTEST + SPREAD + 1), [])
        self.assertIn("on end", "; ".join(judged(WINDOW - 1, SHORTEST + SPREAD + 1)))
        self.assertIn("did not scan", "; ".join(judged(WINDOW + 1, SHORTEST - 1)))


if __name__ == "__main__":
    unittest.main()
