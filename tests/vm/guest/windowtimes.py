"""The verdicts about the times of windows: do they tell which number came before?

What others see. Discovery scans actively, so a device that answers scan requests, and a receiver that
hears them, know when each window begins and ends. (A passive scan would send nothing.) They hear the
adverts as well, and so they see each rotation: one number leaves the air, and another one comes. It is
assumed that they know which windows and which number come from one machine. They must not learn more:
where two machines rotate at once, the windows must not tell which number follows which.

What is required. A window begins with each number, and the pauses are drawn again from there. That the
first window comes with the number is no link: it does so on each machine, whatever came before. That a
rotation ends a window is none either: the advert ends then as well. Windows that did not begin again
would be a link, because the next of them comes at most one pause after the last. So the first window
has to come with the number always, and what follows has to be drawn by chance.

How that is judged by few samples. A pause is drawn evenly from `jitter` seconds. A guess that knows all
but this draw is right within a tolerance by a chance of at most 2 * tolerance / jitter. What a slow
controller adds makes that less likely, so it may hide a fault, but makes none. Guesses are made from the
windows before a rotation, as an observer would make them. They are compared with the window that follows
the first under the next number. A log is condemned if more guesses are right, or if times are more
alike, than by chance in one of 10,000 logs, or if it is too short to tell. Weaker links would need
thousands of rotations; crates/tcn-engine/src/listening.rs has a property that excludes them.
"""

import math
import statistics
from dataclasses import dataclass

import judge

RARE = 1e-4  # the probability below which chance is no excuse
NEAR = 0.5  # seconds within which a guess is right, and by which equal pauses may differ under emulation


@dataclass(frozen=True)
class Windows:
    """The windows under one number, each as (start, end), and the number's time on the air. What lasts
    has the end `inf`."""

    start: float
    end: float
    spans: list

    @property
    def pauses(self):
        """Seconds from each window to the next."""
        return [after - before for (_, before), (after, _) in zip(self.spans, self.spans[1:])]

    @property
    def periods(self):
        """Seconds from the start of each window to that of the next."""
        return judge.gaps([start for start, _ in self.spans])


def until(end):
    """The end of something that may last."""
    return math.inf if end is None else end


def by_number(airings, scans):
    """The windows under each number of one machine, in order. A window belongs to the first number that
    is on the air after its start: discovery starts a moment before the advert."""
    lives = {}
    for a in sorted(judge.ours(airings), key=lambda a: a.start):
        start, end = lives.get(judge.tcn_of(a.data), (a.start, a.start))
        lives[judge.tcn_of(a.data)] = (start, max(end, until(a.end)))
    found = [Windows(start, end, []) for start, end in lives.values()]
    for scan in sorted((s for s in scans if s.active), key=lambda s: s.start):
        if of := next((w for w in found if w.end > scan.start), None):
            add(of.spans, scan.start, until(scan.end))
    return found


def add(spans, start, end):
    """Add a scan. A kernel may stop a scan for a moment; that ends no window."""
    if spans and start - spans[-1][1] <= judge.BESIDE:
        start, _ = spans.pop()
    spans.append((start, end))


def begin_with_numbers(numbers, late):
    """A window begins with each number: after the number before it, and `late` seconds after its own start at
    most. None lasts from one number to the next."""
    faults = []
    for windows in numbers:
        if not windows.spans or windows.spans[0][0] > windows.start + late:
            faults.append("a number came without a window that begins with it")
    for before, after in zip(numbers, numbers[1:]):
        if before.spans and before.spans[-1][1] > after.start:
            faults.append("a window went on from one number to the next")
    return faults


def short_pauses(numbers, shortest):
    """No pause between two windows under one number is shorter than those that are drawn: one that is
    shows that a window came by another rule, such as that of the number before."""
    return [f"paused for only {pause:.1f} s" for windows in numbers for pause in windows.pauses if pause < shortest]


def alike(times, jitter, what):
    """Times that are drawn from `jitter` seconds are not all alike. All of n are within a span by a chance of
    at most n * (span / jitter) ** (n - 1): one of them is the least, and each other at most that much later."""
    chance = lambda span: min(1.0, len(times) * (span / jitter) ** (len(times) - 1))
    if chance(NEAR) > RARE:
        return [f"{what} was seen only {len(times)} times"]
    span = max(times) - min(times)
    return [f"{what} was the same within {span:.2f} s, {len(times)} times"] if chance(span) < RARE else []


# ---- guesses when the second window after a rotation begins, each (numbers before, number after) → moments

def mean_period(before, after):
    """The last start, and the mean period from there on."""
    return repeated(before[-1], after, statistics.mean(period for windows in before for period in windows.periods))


def last_period(before, after):
    """The last start, and the last period from there on."""
    return repeated(before[-1], after, before[-1].periods[-1])


def last_pause(before, after):
    """The last pause again, after the window that begins with the number."""
    return [after.spans[0][1] + before[-1].pauses[-1]]


def same_phase(before, after):
    """As long after the rotation as under the number before."""
    return [after.start + before[-1].spans[1][0] - before[-1].start]


def repeated(last, after, period):
    """Every period from the last start on, until the second window after the rotation is past."""
    start = last.spans[-1][0]
    return [start + count * period for count in range(1, math.ceil((after.spans[1][0] - start) / period) + 1)]


GUESSES = {"last start and mean period": mean_period, "last start and last period": last_period,
           "last pause": last_pause, "same phase": same_phase}


def rotations(numbers):
    """The rotations of one machine with two windows on both sides, each as the windows under all numbers
    before, and those after."""
    return [(numbers[:at], numbers[at]) for at in range(1, len(numbers))
            if all(len(windows.spans) > 1 for windows in numbers[at - 1:at + 1])]


def foretold(machines, jitter):
    """The windows before a rotation do not tell when the second one after it begins."""
    chance, known = 2 * NEAR / jitter, sum(len(rotations(numbers)) for numbers in machines)
    if chance ** known > RARE:
        return [f"only {known} rotations with two windows on both sides"]
    faults = []
    for name, guess in GUESSES.items():
        right = sum(error <= NEAR for error in errors(guess, machines))
        if at_least(right, known, chance) < RARE:
            faults.append(f"{right} of {known} windows came within {NEAR} s of a guess by {name}, by chance {chance * known:.1f}")
    return faults


def errors(guess, machines):
    """By how many seconds the best moment of a guess was wrong, at each rotation."""
    return [min(abs(moment - after.spans[1][0]) for moment in guess(before, after))
            for numbers in machines for before, after in rotations(numbers)]


def at_least(right, of, chance):
    """The probability that this many guesses or more are right by chance."""
    return sum(math.comb(of, count) * chance ** count * (1 - chance) ** (of - count) for count in range(right, of + 1))


def unlinked(machines, late, shortest, jitter):
    """No time of a window links two numbers. `machines` has the windows by number of each machine; `late` is
    what a slow machine adds; pauses are drawn from `jitter` seconds, from the shortest on."""
    faults = [fault for numbers in machines
              for fault in begin_with_numbers(numbers, late) + short_pauses(numbers, shortest - late)]
    pauses = [pause for numbers in machines for windows in numbers for pause in windows.pauses]
    waits = [windows.end - windows.spans[-1][0] for numbers in machines for windows in numbers[:-1] if len(windows.spans) > 1]
    return (faults + alike(pauses, jitter, "the pause") + alike(waits, jitter, "the time from the last window to a rotation")
            + foretold(machines, jitter))


def account(machines):
    """Windows, pauses, and by how much each guess was wrong, for the report. How much windows differ shows
    what the machine adds."""
    every = [windows for numbers in machines for windows in numbers]
    lengths = [end - start for windows in every for (start, end), _ in zip(windows.spans, windows.spans[1:])]
    wrong = [f"{listed(errors(guess, machines))} s ({name})" for name, guess in GUESSES.items()]
    return (f"windows of {listed(sorted(lengths))} s, pauses of {listed(sorted(p for windows in every for p in windows.pauses))} s; "
            f"guesses wrong by {', '.join(wrong)}")


def listed(times):
    """Times as text."""
    return " ".join(f"{time:.1f}" for time in times)
