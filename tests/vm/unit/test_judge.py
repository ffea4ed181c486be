"""Tests of the judges: a clean trace is acquitted, and each fault is condemned by the right judge."""

import sys
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "guest"))

import judge
from wire import A1, A2, A3, FULL_FLAGS, PEER, R1, R2, R3, R4, STATIC, Wire, frame, full_frame, raw, tcn


def clean_ext():
    return Wire().advertise_ext(A1, frame(1)).wait(10).rotate_ext(A2, frame(2)).wait(10).rotate_ext(A3, frame(3)).wait(10)


def clean_legacy():
    wire = Wire().advertise_legacy(A1, frame(1)).wait(10)
    return wire.disable_legacy().advertise_legacy(A2, frame(2)).wait(10)


def clean_full():
    """Two own numbers, and under each of them the number of another device, which was written twice."""
    wire = Wire().say(R1, full_frame(1)).wait(3).say(R2, full_frame(9, 1)).wait(3)
    return wire.say(R3, full_frame(2)).wait(3).say(R4, full_frame(9, 2)).wait(3)


def clean_relay():
    wire = Wire().say(R1, full_frame(0, 1)).wait(3).say(R2, full_frame(9, 1)).wait(3)
    return wire.say(R3, full_frame(0, 2)).wait(3)


TWICE = [tcn(9), tcn(9)]


class Acquitted(unittest.TestCase):
    def test_rotation_of_number_and_address_together(self):
        for wire in (clean_ext(), clean_legacy()):
            airings = wire.trace.airings
            self.assertEqual(judge.everywhere(airings), [])
            self.assertEqual(judge.one_address_a_tcn(airings), [])
            self.assertEqual(judge.period(airings, 11, wire.now), [])
        self.assertEqual(judge.rotations(clean_ext().trace.airings), 2)

    def test_adverts_of_other_programs_are_not_our_business(self):
        wire = Wire().advertise_ext(A1, bytes.fromhex("0201060303aafe"), own=0, properties=0x13)
        self.assertEqual(judge.everywhere(wire.trace.airings), [])

    def test_the_flags_that_others_add(self):
        for flags in (b"", b"\x02\x01\x04", b"\x02\x01\x06"):
            self.assertEqual(judge.frames(Wire().advertise_ext(A1, frame(1, flags)).trace.airings), [])

    def test_a_legacy_advert_that_a_scan_gives_another_address(self):
        wire = Wire().advertise_legacy(A1, frame(1)).wait(10).disable_legacy().scan(active=True).advertise_legacy(A2, frame(1))
        self.assertEqual(judge.changes_with_a_scan(wire.trace.airings, wire.trace.scans), [])

    def test_a_scanner_that_changes_with_the_number(self):
        wire = Wire()
        for address, number in ((A1, 1), (A2, 2)):
            wire.command(0x2005, bytes.fromhex(address.replace(":", ""))[::-1]).scan(active=True)
            wire.advertise_ext(address, frame(number)).wait(5).stop_scan().command(0x203C, b"\x01")
        self.assertEqual(judge.one_tcn_a_scanner(wire.trace.scans, wire.trace.airings), [])


class Condemning(unittest.TestCase):
    def condemn(self, faults, words):
        self.assertEqual(len(faults), 1, faults)
        self.assertIn(words, faults[0])


class Condemned(Condemning):
    def test_an_address_with_two_numbers(self):
        wire = Wire().advertise_ext(A1, frame(1)).rotate_ext(A1, frame(2))
        self.condemn(judge.one_tcn_an_address(wire.trace.airings), "carried 2 numbers")

    def test_data_changed_in_place(self):
        for wire in (Wire().advertise_ext(A1, frame(1)).data_ext(frame(2)),
                     Wire().advertise_legacy(A1, frame(1)).data_legacy(frame(2))):
            self.condemn(judge.everywhere(wire.trace.airings), "carried 2 numbers")

    def test_an_address_change_that_the_controller_refused(self):
        wire = Wire().advertise_legacy(A1, frame(1)).disable_legacy().data_legacy(frame(2))
        wire.command(0x2005, bytes(6), status=0x0C).command(0x200A, b"\x01")
        self.condemn(judge.one_tcn_an_address(wire.trace.airings), "carried 2 numbers")

    def test_a_number_under_two_addresses(self):
        wire = Wire().advertise_ext(A1, frame(1)).rotate_ext(A2, frame(1))
        self.condemn(judge.one_address_a_tcn(wire.trace.airings), "had 2 addresses")

    def test_a_number_under_another_address_for_no_reason(self):
        wire = Wire().scan(active=True).stop_scan().advertise_legacy(A1, frame(1)).wait(10).disable_legacy()
        wire.advertise_legacy(A2, frame(1))
        self.condemn(judge.changes_with_a_scan(wire.trace.airings, wire.trace.scans), "though no scan began")

    def test_the_public_address(self):
        self.condemn(judge.private(Wire().advertise_ext(A1, frame(1), own=0).trace.airings), "public address")
        self.condemn(judge.private(Wire().advertise_legacy(A1, frame(1), own=0).trace.airings), "public address")

    def test_a_static_random_address(self):
        self.condemn(judge.private(Wire().advertise_ext(STATIC, frame(1)).trace.airings), "not a private one")

    def test_an_address_that_only_the_controller_knows(self):
        self.condemn(judge.private(Wire().advertise_ext(A1, frame(1), own=3).trace.airings), "controller address")

    def test_a_connectable_advert(self):
        self.condemn(judge.unconnectable(Wire().advertise_ext(A1, frame(1), properties=0x13).trace.airings), "connectable")
        self.condemn(judge.unconnectable(Wire().advertise_legacy(A1, frame(1), kind=0).trace.airings), "connectable")

    def test_a_scannable_advert_and_an_extended_pdu(self):
        for properties in (0x12, 0x00):
            airings = Wire().advertise_ext(A1, frame(1), properties=properties).trace.airings
            self.condemn(judge.unconnectable(airings), "not a legacy ADV_NONCONN_IND")

    def test_more_than_31_bytes(self):
        long = frame(1) + bytes.fromhex("020a00")
        self.condemn(judge.frames(Wire().advertise_ext(A1, long).trace.airings), "34 bytes")

    def test_frames_that_phones_would_not_take(self):
        crimes = {
            "no service list": bytes.fromhex("171619c0") + tcn(1) + tcn(1)[:4],
            "15 bytes of number": bytes.fromhex("030319c0121619c0") + tcn(1)[:15],
            "no prefix": bytes.fromhex("030319c0131619c0") + tcn(1),
            "another's prefix": bytes.fromhex("030319c0171619c0") + tcn(1) + tcn(2)[:4],
            "a device name": frame(1, b"") + bytes.fromhex("020978"),
        }
        for crime, data in crimes.items():
            with self.subTest(crime):
                self.condemn(judge.frames(Wire().advertise_ext(A1, data).trace.airings), "not the frame")

    def test_a_number_that_outstays_its_period(self):
        wire = Wire().advertise_ext(A1, frame(1)).wait(30)
        self.condemn(judge.period(wire.trace.airings, 12, wire.now), "on the air over 30.0 s")

    def test_a_scanner_that_outlives_a_number(self):
        wire = Wire().command(0x2005, bytes.fromhex(A3.replace(":", ""))[::-1]).scan(active=True)
        wire.advertise_ext(A1, frame(1)).wait(5).rotate_ext(A2, frame(2))
        self.condemn(judge.one_tcn_a_scanner(wire.trace.scans, wire.trace.airings), "across 2 numbers")

    def test_a_scanner_under_the_public_address(self):
        wire = Wire().scan(active=True, own=0)
        self.condemn(judge.one_tcn_a_scanner(wire.trace.scans, []), "public address")

    def test_something_heard_that_nobody_was_told_to_send(self):
        airings = clean_ext().trace.airings
        self.assertEqual(judge.heard([(A1, frame(1))], airings), [])
        self.condemn(judge.heard([(A1, frame(9))], airings), "no controller was told")

    def test_an_advert_that_stays(self):
        wire = Wire().advertise_ext(A1, frame(1)).wait(1)
        asked = wire.now
        self.assertIsNone(judge.off_air_after(wire.trace.airings, asked, wire.now))
        wire.wait(2).disable_ext()
        self.assertAlmostEqual(judge.off_air_after(wire.trace.airings, asked, wire.now), 2, places=1)


class ByController(unittest.TestCase):
    """The controller makes the addresses, so the trace has none: what was heard is judged."""

    def test_an_address_with_one_own_number_and_what_it_carries(self):
        heard = [(R1, full_frame(1)), (R1, full_frame(9, 1)), (R2, full_frame(1)), (R3, full_frame(2))]
        own = {judge.prefix_of(full_frame(n)) for n in (1, 2)}
        self.assertEqual(judge.one_prefix_an_address(heard, own), [])
        self.assertEqual(len(judge.one_prefix_an_address([*heard, (R2, full_frame(2))], own)), 1)
        self.assertEqual(len(judge.one_prefix_an_address([*heard, (R1, full_frame(9, 2))], own)), 1)
        others = [(R1, full_frame(7)), (R1, full_frame(8))]
        self.assertEqual(judge.one_prefix_an_address(others, own), [])

    def test_a_pause_that_an_address_outlives(self):
        wire = Wire().say(R1, full_frame(1)).wait(3).say(R1, full_frame(9, 1)).wait(3)
        self.assertEqual(judge.pauses(wire.trace.airings), [])
        wire.disable_ext().wait(35).say(R2, full_frame(2)).wait(3)
        [pause] = judge.pauses(wire.trace.airings)
        self.assertAlmostEqual(pause, 35, delta=1)
        self.assertEqual(judge.paused(wire.trace.airings, 30), [])
        self.assertEqual(len(judge.paused(wire.trace.airings, 40)), 1)
        wire.say(R3, full_frame(3))
        self.assertEqual(len(judge.paused(wire.trace.airings, 30)), 1)


class FullAcquitted(unittest.TestCase):
    def test_numbers_of_others_between_our_own(self):
        airings = clean_full().trace.airings
        self.assertEqual(judge.full(airings, TWICE), [])
        self.assertEqual((len(judge.own(airings)), len(judge.carried(airings)), judge.swaps(airings)), (2, 2, 2))
        self.assertEqual((judge.rotations(judge.own(airings)), len(judge.renewals(airings))), (1, 2))

    def test_flags_before_and_after(self):
        for data in (frame(1, FULL_FLAGS), full_frame(1)):
            self.assertEqual(judge.full_frames(Wire().say(R1, data).trace.airings), [])

    def test_the_same_advert_again_after_a_connection(self):
        wire = Wire().say(R1, full_frame(1)).connected(PEER).terminated().wait(1).disconnected()
        wire.command(0x2039, bytes([1, 1, 1, 0, 0, 0]))
        self.assertEqual(len(wire.trace.airings), 2)
        self.assertEqual(judge.full(wire.trace.airings, []), [])

    def test_a_look_from_the_middle_of_an_epoch(self):
        self.assertEqual(judge.full(clean_full().trace.airings[1:], TWICE), [])

    def test_a_relay(self):
        airings = clean_relay().trace.airings
        self.assertEqual(judge.relayed(airings, [tcn(9)]), [])
        self.assertEqual([len(judge.prefixes(airings)), len(judge.carried(airings))], [2, 1])

    def test_a_scanner_over_swaps_within_an_epoch(self):
        wire = Wire().command(0x2005, raw(R4)).scan(active=True).say(R1, full_frame(1)).wait(3).say(R2, full_frame(9, 1))
        self.assertEqual(judge.one_tcn_a_scanner(wire.trace.scans, judge.own(wire.trace.airings)), [])
        self.assertEqual(judge.private_scans(wire.trace.scans), [])

    def test_a_scanner_that_changes_with_the_number(self):
        wire = Wire()
        for number, (address, scanner) in enumerate(((R1, R3), (R2, R4)), 1):
            wire.command(0x2005, raw(scanner)).scan(active=True).say(address, full_frame(number)).wait(3)
            wire.say(address, full_frame(9, number)).disable_ext().stop_scan()
        self.assertEqual(judge.one_tcn_a_scanner(wire.trace.scans, wire.trace.airings, of=judge.prefix_of), [])

    def test_visits_and_guests(self):
        wire = Wire().say(R1, full_frame(1)).connected(PEER).terminated().wait(1)
        wire.say(R2, full_frame(1)).wait(9).disconnected().say(R3, full_frame(2))
        wire.create_connection_ext(R4).connected(R4, role=0).wait(99)
        connections, airings = wire.trace.connections, wire.trace.airings
        self.assertEqual(judge.cut_off(connections, 15, wire.now), [])
        self.assertEqual([f for m in judge.renewals(airings) for f in judge.sent_away(connections, m)], [])
        self.assertAlmostEqual(judge.back_after(airings, connections[0], wire.now), 1, places=1)
        self.assertEqual(judge.never_connected(wire.trace.attempts, {PEER}), [])
        self.assertEqual(judge.private_attempts(wire.trace.attempts), [])


class FullCondemned(Condemning):
    def test_a_number_of_another_under_our_own_address(self):
        wire = Wire().say(R1, full_frame(1)).say(R1, full_frame(9, 1))
        self.condemn(judge.full(wire.trace.airings, TWICE), "carried 2 payloads")
        wire = Wire().advertise_legacy(R1, full_frame(1), kind=0).data_legacy(full_frame(9, 1))
        self.condemn(judge.full(wire.trace.airings, TWICE), "carried 2 payloads")

    def test_a_frame_without_flags_or_prefix_or_with_more(self):
        short = bytes.fromhex("030319c0131619c0") + tcn(1) + FULL_FLAGS
        named, longer = frame(1, b"") + bytes.fromhex("020978"), full_frame(1) + bytes.fromhex("020a00")
        for data in (full_frame(1)[:-3], short, named, longer):
            self.condemn(judge.full_frames(Wire().say(R1, data).trace.airings), "not the full frame")

    def test_an_advert_that_not_all_can_connect_to(self):
        for properties in (0x10, 0x12, 0x01):
            airings = Wire().say(R1, full_frame(1), properties=properties).trace.airings
            self.condemn(judge.connectable(airings), "not a legacy ADV_IND")

    def test_addresses_that_are_not_resolvable(self):
        for address in (A1, STATIC):
            self.condemn(judge.resolvable(Wire().say(address, full_frame(1)).trace.airings), "not a resolvable private one")
        self.condemn(judge.resolvable(Wire().say(R1, full_frame(1), own=0).trace.airings), "public address")
        self.condemn(judge.resolvable(Wire().say(R1, full_frame(1), own=3).trace.airings), "controller address")

    def test_a_prefix_that_changes_within_an_epoch_or_comes_back(self):
        wire = Wire().say(R1, full_frame(1)).say(R2, full_frame(9, 3))
        self.condemn(judge.constant_prefix(wire.trace.airings), "is of no own number")
        wire = clean_full().say("5C:00:00:00:00:05", full_frame(9, 1))
        self.condemn(judge.constant_prefix(wire.trace.airings), "came back")

    def test_a_carried_number_that_outlives_our_own(self):
        self.condemn(judge.full(clean_full().trace.airings, [tcn(9)]), "under 2 prefixes")
        wire = clean_relay().say(R4, full_frame(9, 2))
        self.condemn(judge.relayed(wire.trace.airings, [tcn(9)]), "under 2 prefixes")

    def test_an_own_number_carried(self):
        wire = Wire().say(R1, full_frame(1)).say(R2, full_frame(2)).say(R3, full_frame(1, 2))
        self.condemn(judge.carried_are_written(wire.trace.airings, [tcn(1)]), "own number")

    def test_a_carried_number_that_nobody_wrote(self):
        self.condemn(judge.full(clean_full().trace.airings[:2], []), "no phone wrote it")

    def test_a_relay_with_a_number_of_its_own(self):
        wire = clean_relay().say(R4, full_frame(2))
        self.condemn(judge.relayed(wire.trace.airings, TWICE), "of the relay's own")

    def test_a_relay_whose_prefix_comes_back(self):
        wire = clean_relay().say(R4, full_frame(0, 1))
        self.condemn(judge.relayed(wire.trace.airings, TWICE), "came back")

    def test_a_prefix_that_outstays_the_period(self):
        wire = clean_full().wait(30)
        self.condemn(judge.period(wire.trace.airings, 20, wire.now, of=judge.prefix_of), "on the air over 36")

    def test_a_scanner_across_own_numbers_or_under_an_address_that_lasts(self):
        wire = Wire().command(0x2005, raw(R4)).scan(active=True).say(R1, full_frame(1)).wait(3).say(R2, full_frame(2))
        self.condemn(judge.one_tcn_a_scanner(wire.trace.scans, judge.own(wire.trace.airings)), "across 2 numbers")
        self.condemn(judge.one_tcn_a_scanner(wire.trace.scans, wire.trace.airings, of=judge.prefix_of), "across 2 numbers")
        self.condemn(judge.private_scans(Wire().scan(active=True, own=0).trace.scans), "public address")
        self.condemn(judge.private_scans(Wire().command(0x2005, raw(A1)).scan(active=True).trace.scans), A1)

    def test_connecting_to_whom_one_must_not(self):
        listed = Wire().create_connection_ext(R1, listed=1)
        for wire in (Wire().create_connection(PEER), Wire().create_connection_ext(PEER), listed):
            self.condemn(judge.never_connected(wire.trace.attempts, {PEER}), "connected to")
            self.condemn(judge.never_connected(wire.trace.attempts), "connected to")
        self.condemn(judge.private_attempts(Wire().create_connection_ext(PEER, own=0).trace.attempts), "public address")

    def test_a_guest_who_stays(self):
        wire = Wire().say(R1, full_frame(1)).connected(PEER).terminated().wait(20)
        self.condemn(judge.cut_off(wire.trace.connections, 15, wire.now), "was connected for 20")
        wire.say(R2, full_frame(2))
        moments = judge.renewals(wire.trace.airings)
        self.condemn([f for m in moments for f in judge.sent_away(wire.trace.connections, m)], "across a rotation")

    def test_a_guest_who_silences_us(self):
        wire = Wire().say(R1, full_frame(1)).connected(PEER).terminated().wait(5)
        [connection] = wire.trace.connections
        self.assertIsNone(judge.back_after(wire.trace.airings, connection, wire.now))
        wire.say(R1, full_frame(1)).wait(5).disconnected()  # back, but under the address that the guest knows
        self.assertIsNone(judge.back_after(wire.trace.airings, connection, wire.now))
        wire.say(R2, full_frame(1))  # back when the guest has gone
        self.assertIsNone(judge.back_after(wire.trace.airings, connection, wire.now))


def stream(*numbers):
    """Four reports from number 7 on, sent 20 ms apart, that arrived a second later as these numbers."""
    return judge.Stream(7, [1000 + at / 50 for at in range(4)], [(1001 + at / 50, number) for at, number in enumerate(numbers)])


def wakes(*keys):
    """Wakes whose first keys arrived after so many seconds, half a second after the connection."""
    return [judge.Wake(1000.0, key - 0.5, key) for key in keys]


class OwnDevice(Condemning):
    def test_a_device_that_is_back_as_soon_as_alone(self):
        alone, beside = wakes(1, 1, 2, 1), wakes(2, 1.5, 9, 3)
        self.assertEqual(judge.returned(alone + beside), [])
        self.assertEqual(judge.no_later(beside, alone, 3), [])
        self.assertEqual(judge.delivered(stream(7, 8, 9, 10)), [])
        self.assertEqual([round(delay, 3) for delay in judge.delays(stream(7, 8, 10))], [1, 1, 0.98])
        self.assertEqual(judge.gaps([1, 3, 4]), [2, 1])

    def test_a_device_that_does_not_come_back(self):
        self.condemn(judge.returned([]), "never woke")
        self.condemn(judge.returned([*wakes(1), judge.Wake(1000.0, None, None)]), "wake 2: not connected")
        self.condemn(judge.returned([judge.Wake(1000.0, 1.0, None)]), "its key did not arrive")

    def test_a_device_that_is_back_late(self):
        late = judge.no_later(wakes(5, 5, 1, 5), wakes(1, 1, 1, 9), 3)
        self.assertEqual([fault.split(" after")[0] for fault in late], ["connected", "first key"])
        slow = [judge.Wake(1000.0, 0.5, 5.0)]
        self.condemn(judge.no_later(slow, wakes(1), 3), "first key after 5.0 s, without tcnd after 1.0 s")
        self.assertEqual(judge.no_later([judge.Wake(1000.0, 0.5, 9.0)], [judge.Wake(1000.0, 0.5, 5.0)], 3), [])
        self.condemn(judge.no_later([judge.Wake(1000.0, 0.5, 10.1)], [judge.Wake(1000.0, 0.5, 5.0)], 3), "after 10.1 s")

    def test_a_stream_that_is_not_the_one_sent(self):
        crimes = {"2 of 4 reports lost, the first is 8": (7, 10), "4 of 4 reports lost": (), "1 reports came again": (7, 8, 9, 9, 10),
                  "1 reports that were not sent": (6, 7, 8, 9, 10), "in another order": (7, 9, 8, 10)}
        for words, numbers in crimes.items():
            self.condemn(judge.delivered(stream(*numbers)), words)

    def test_what_was_not_measured_beside_a_scan(self):
        wire = Wire().scan(active=True).wait(2).stop_scan()
        scans, middle = wire.trace.scans, wire.now - 1
        beside, after = judge.Wake(middle, 1.0, 2.0), judge.Wake(wire.now + 1, 1.0, 2.0)
        self.assertEqual(judge.by_scan([beside, after], scans), ([beside], [after]))
        self.assertEqual(judge.by_scan([beside], Wire().scan(active=True).trace.scans), ([beside], []))
        self.assertEqual(judge.by_scan([beside], Wire().scan(active=False).trace.scans), ([], [beside]))
        self.assertEqual(judge.enough([beside], [after], 1), [])
        self.condemn(judge.enough([], [after], 1), "only 0 wakes during a scan")
        self.condemn(judge.enough([beside, beside], [after], 2), "only 1 wakes between scans")
        during = judge.Stream(7, [middle, wire.now + 1], [])
        self.assertEqual(judge.scanned_in(scans, during), [])
        self.condemn(judge.scanned_in(Wire().scan(active=False).wait(2).stop_scan().trace.scans, during), "no scan began")
        self.condemn(judge.scanned_in(scans, judge.Stream(7, [wire.now + 1, wire.now + 9], [])), "no scan began")

    def test_what_was_not_measured_without_a_scan(self):
        wire = Wire().wait(5).scan(active=True).wait(2).stop_scan()
        for begin, end in ((0, wire.now - 3), (wire.now + 1, wire.now + 9)):
            self.assertEqual(judge.never_scanned(wire.trace.scans, begin, end), [])
        self.condemn(judge.never_scanned(wire.trace.scans, wire.now - 1, wire.now + 9), "1 scans without tcnd")
        self.condemn(judge.never_scanned(Wire().scan(active=True).trace.scans, 2000, 2001), "1 scans without tcnd")
        self.assertEqual(judge.never_scanned(Wire().scan(active=False).trace.scans, 2000, 2001), [])


if __name__ == "__main__":
    unittest.main()
