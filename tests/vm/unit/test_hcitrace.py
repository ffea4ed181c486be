"""The reading of HCI traces, on packets written by hand from the specification's layouts."""

import struct
import sys
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "guest"))

import hcitrace
from wire import A1, A2, PEER, PUBLIC, R1, Wire, frame, full_frame


class Extended(unittest.TestCase):
    def test_an_airing_lasts_from_enable_to_disable(self):
        wire = Wire().advertise_ext(A1, frame(1)).wait(5).disable_ext()
        [airing] = wire.trace.airings
        self.assertEqual((airing.address, airing.address_kind, airing.data), (A1, "random", frame(1)))
        self.assertEqual(airing.properties, hcitrace.LEGACY_PDU)
        self.assertAlmostEqual(airing.end - airing.start, 5, places=0)

    def test_data_set_while_enabled_begins_a_new_airing(self):
        wire = Wire().advertise_ext(A1, frame(1)).data_ext(frame(2))
        self.assertEqual([a.data for a in wire.trace.airings], [frame(1), frame(2)])
        self.assertIsNotNone(wire.trace.airings[0].end)
        self.assertEqual(wire.trace.on_air(0), [wire.trace.airings[1]])

    def test_fragments_make_one_payload(self):
        wire = Wire().advertise_ext(A1, b"")
        for operation, part in ((1, b"ab"), (0, b"cd"), (2, b"ef")):
            wire.command(0x2037, bytes([1, operation, 1, len(part)]) + part)
        self.assertEqual(wire.trace.on_air(0)[0].data, b"abcdef")

    def test_removing_or_clearing_sets_ends_the_airing(self):
        for opcode, parameters in ((0x203C, b"\x01"), (0x203D, b""), (0x0C03, b"")):
            wire = Wire().advertise_ext(A1, frame(1)).command(opcode, parameters)
            self.assertEqual(wire.trace.on_air(0), [], hex(opcode))

    def test_disabling_no_set_in_particular_disables_all(self):
        wire = Wire().advertise_ext(A1, frame(1), handle=1).advertise_ext(A2, frame(2), handle=2)
        self.assertEqual(len(wire.trace.on_air(0)), 2)
        wire.command(0x2039, b"\0\0")
        self.assertEqual(wire.trace.on_air(0), [])

    def test_the_set_terminated_event_ends_the_airing(self):
        wire = Wire().advertise_ext(A1, frame(1))
        wire.event(bytes([0x3E, 6, 0x12, 0, 1, 0, 0, 0]))
        self.assertEqual(wire.trace.on_air(0), [])

    def test_a_public_own_address_is_the_one_of_the_index(self):
        wire = Wire().advertise_ext(A1, frame(1), own=0)
        self.assertEqual((wire.trace.on_air(0)[0].address_kind, wire.trace.on_air(0)[0].address), ("public", PUBLIC))


class Legacy(unittest.TestCase):
    def test_an_airing_takes_the_random_address(self):
        wire = Wire().advertise_legacy(A1, frame(1))
        [airing] = wire.trace.on_air(0)
        self.assertEqual((airing.address, airing.data, airing.properties), (A1, frame(1), hcitrace.LEGACY_PDU))

    def test_a_refused_address_is_not_taken(self):
        wire = Wire().advertise_legacy(A1, frame(1)).command(0x2005, wire_address(A2), status=0x0C)
        self.assertEqual(wire.trace.on_air(0)[0].address, A1)
        self.assertEqual([(r.opcode, r.status) for r in wire.trace.refusals], [(0x2005, 0x0C)])

    def test_new_data_before_the_new_address_is_seen_as_such(self):
        wire = Wire().advertise_legacy(A1, frame(1)).data_legacy(frame(2))
        self.assertEqual([(a.address, a.data) for a in wire.trace.airings], [(A1, frame(1)), (A1, frame(2))])


class Connections(unittest.TestCase):
    def test_attempts_count_when_sent(self):
        for wire in (Wire().create_connection(PEER), Wire().create_connection_ext(PEER)):
            self.assertEqual([(a.index, a.address_kind, a.peer) for a in wire.trace.attempts], [(0, "random", PEER)])

    def test_attempts_under_the_public_address_and_at_whoever_is_listed(self):
        wire = Wire().create_connection(PEER, own=0, listed=1).create_connection_ext(PEER, own=0, listed=1)
        self.assertEqual([(a.address_kind, a.peer) for a in wire.trace.attempts], [("public", hcitrace.ANYONE_LISTED)] * 2)

    def test_a_connection_lasts_until_it_ends(self):
        for enhanced in (True, False):
            wire = Wire().connected(PEER, handle=7, enhanced=enhanced).wait(9).disconnected(handle=7)
            [connection] = wire.trace.connections
            self.assertEqual((connection.peer, connection.role, connection.reason), (PEER, hcitrace.PERIPHERAL, hcitrace.BY_US))
            self.assertAlmostEqual(connection.lasted(wire.now), 9, places=0)

    def test_what_failed_is_no_connection_and_no_end(self):
        wire = Wire().connected(PEER, status=2)
        self.assertEqual(wire.trace.connections, [])
        wire.connected(PEER).disconnected(status=2)
        self.assertIsNone(wire.trace.connections[0].end)

    def test_a_connection_to_a_set_ends_its_airing_by_the_event_of_that(self):
        wire = Wire().say(R1, full_frame(1)).connected(PEER)
        self.assertEqual(len(wire.trace.on_air(0)), 1)
        self.assertEqual(wire.terminated().trace.on_air(0), [])

    def test_a_connection_to_us_ends_the_legacy_airing(self):
        wire = Wire().advertise_legacy(R1, full_frame(1), kind=0).connected(PEER, role=0)
        self.assertEqual(len(wire.trace.on_air(0)), 1)
        self.assertEqual(wire.connected(PEER, enhanced=False).trace.on_air(0), [])

    def test_a_reset_ends_them(self):
        wire = Wire().connected(PEER).command(0x0C03, b"")
        self.assertIsNotNone(wire.trace.connections[0].end)
        self.assertIsNone(wire.trace.connections[0].reason)


class Life(unittest.TestCase):
    def test_unplugging_and_powering_off_end_everything(self):
        for opcode in (hcitrace.DEL_INDEX, hcitrace.CLOSE_INDEX):
            wire = Wire().advertise_ext(A1, frame(1)).scan(active=True)
            wire.packet(opcode, b"")
            self.assertEqual(wire.trace.on_air(0), [])
            self.assertIsNotNone(wire.trace.scans[-1].end)

    def test_an_answer_is_needed(self):
        wire = Wire()
        wire.packet(hcitrace.COMMAND, struct.pack("<HB", 0x200A, 1) + b"\x01")
        self.assertEqual(wire.trace.airings, [])

    def test_adverts_are_counted_and_scan_responses_are_not(self):
        wire = Wire()
        for subevent, reports, kind in ((0x0D, 1, 0x13), (0x0D, 1, 0x1B), (0x02, 3, 0), (0x02, 1, 4)):
            wire.event(bytes([0x3E, 4, subevent, reports, kind, 0]))
        self.assertEqual(wire.trace.reports, {0: 4})

    def test_a_replugged_controller_is_found_by_address(self):
        wire = Wire()
        wire.packet(hcitrace.DEL_INDEX, b"")
        wire.index = 2
        wire.plug()
        self.assertEqual(wire.trace.index_of(PUBLIC.lower()), 2)
        self.assertIsNone(wire.trace.index_of(A1))

    def test_scans_know_their_address(self):
        wire = Wire().command(0x2005, wire_address(A1)).scan(active=True)
        self.assertEqual([(s.address, s.active) for s in wire.trace.scans], [(A1, True)])


class Btsnoop(unittest.TestCase):
    def test_written_packets_are_read_again(self):
        packet = hcitrace.Packet(1700000000.25, 3, hcitrace.EVENT, b"\x0e\x01\x00")
        [again] = hcitrace.from_btsnoop(hcitrace.BTSNOOP_HEADER + hcitrace.to_btsnoop(packet))
        self.assertEqual(again, packet)

    def test_other_files_are_refused(self):
        with self.assertRaises(ValueError):
            list(hcitrace.from_btsnoop(b"pcap" * 8))


def wire_address(text):
    return bytes(reversed(bytes.fromhex(text.replace(":", ""))))


if __name__ == "__main__":
    unittest.main()
