"""Tests of the reader of growth, against a file as the store writes it (`the_form_is_pinned`)."""

import sys
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "guest"))

from growth import Growth, waiting

FILE = bytes.fromhex(
    "74636e6467726f010700000000000000795fcf56bf97fcab4b000000518ff51791fc601a000909090909090909090909"
    "090909090980a4a7da06098b01bf86020f810400f001000202020202020202020202020202020280a4a7da0602808004"
    "000001098b01bf86020f810400f001")
START = 1_800_000_000
NINE = Growth(bytes([9]) * 16, START, START + 9, -70, -16_800)
TWO = Growth(bytes([2]) * 16, START, START + 2, None, 0)


class Waiting(unittest.TestCase):
    def test_the_file_after_the_mark_counts_wholly(self):
        self.assertEqual(waiting(FILE, 6, 12), [NINE, TWO, NINE])

    def test_the_file_of_the_mark_counts_behind_it(self):
        self.assertEqual(waiting(FILE, 7, 24), [NINE, TWO, NINE])
        self.assertEqual(waiting(FILE, 7, len(FILE)), [])

    def test_another_file_counts_nothing(self):
        for mark in (5, 8):
            self.assertEqual(waiting(FILE, mark, 0), [])

    def test_a_record_in_part_counts_nothing(self):
        for end in range(len(FILE)):
            self.assertEqual(waiting(FILE[:end], 6, 0), [])


if __name__ == "__main__":
    unittest.main()
