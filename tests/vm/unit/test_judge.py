"""The judges, tried: a clean trace is acquitted, and each crime is condemned by the right judge."""

import sys
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "guest"))

import judge
from wire import A1, A2, A3, STATIC, Wire, frame, tcn


def clean_ext():
    return Wire().advertise_ext(A1, frame(1)).wait(10).rotate_ext(A2, frame(2)).wait(10).rotate_ext(A3, frame(3)).wait(10)


def clean_legacy():
    wire = Wire().advertise_legacy(A1, frame(1)).wait(10)
    return wire.disable_legacy().advertise_legacy(A2, frame(2)).wait(10)


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

    def test_a_scanner_that_changes_with_the_number(self):
        wire = Wire()
        for address, number in ((A1, 1), (A2, 2)):
            wire.command(0x2005, bytes.fromhex(address.replace(":", ""))[::-1]).scan(active=True)
            wire.advertise_ext(address, frame(number)).wait(5).stop_scan().command(0x203C, b"\x01")
        self.assertEqual(judge.one_tcn_a_scanner(wire.trace.scans, wire.trace.airings), [])


class Condemned(unittest.TestCase):
    def condemn(self, faults, words):
        self.assertEqual(len(faults), 1, faults)
        self.assertIn(words, faults[0])

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


if __name__ == "__main__":
    unittest.main()
