"""Tests of the reader of growth, against a file as the store writes it (`the_form_is_pinned`)."""

import sys
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "guest"))

from growth import CHECK, HEADER, PAGE, Growth, check, waiting

FILE = bytes.fromhex(
    "74636e6467726f010700000000000000a95c779c20a12bac44000000cdbfb9c128f1d07c89a4a7da0600090909090909"
    "0909090909090909090909000b0f810400f001f80a00020202020202020202020202020202020907808108000001000b"
    "0f810400f001f80a")
START = 1_800_000_000
NINE = Growth(bytes([9]) * 16, START, START + 9, -70, -17_500)
TWO = Growth(bytes([2]) * 16, START, START + 2, None, 0)


class Waiting(unittest.TestCase):
    def test_the_file_after_the_mark_counts_wholly(self):
        self.assertEqual(waiting(FILE, 6, 12), [NINE, TWO, NINE])

    def test_the_file_of_the_mark_counts_behind_it(self):
        self.assertEqual(waiting(FILE, 7, 24), [NINE, TWO, NINE])
        self.assertEqual(waiting(FILE, 7, len(FILE)), [])

    def test_a_record_follows_or_begins_a_page(self):
        begin = HEADER + 4 + CHECK
        body = FILE[begin:]
        more = len(body).to_bytes(4, "little") + check(FILE[begin - CHECK:begin], body) + body
        for file in (FILE + more, FILE.ljust(PAGE, b"\0") + more):
            self.assertEqual(waiting(file, 6, 0), 2 * [NINE, TWO, NINE])
            self.assertEqual(waiting(file, 7, len(FILE)), [NINE, TWO, NINE])
        self.assertEqual(waiting(FILE + b"\0" + more, 6, 0), [NINE, TWO, NINE])

    def test_another_file_counts_nothing(self):
        for mark in (5, 8):
            self.assertEqual(waiting(FILE, mark, 0), [])

    def test_a_record_in_part_counts_nothing(self):
        for end in range(len(FILE)):
            self.assertEqual(waiting(FILE[:end], 6, 0), [])


if __name__ == "__main__":
    unittest.main()
