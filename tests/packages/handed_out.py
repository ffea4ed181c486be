"""What must hold for packages that are handed out, in addition to test_packages.py. Packages of the
programs that the tests run are built differently and are not handed out.

    python3 -m unittest discover --start-directory tests/packages --pattern handed_out.py
"""

import pwd
import tempfile
import unittest
from pathlib import Path

from test_packages import MADE, debs, said


class Programs(unittest.TestCase):
    """The packages do not reveal where they were built."""

    def test_they_name_no_folder_of_the_builder(self):
        homes = [str(Path.home()), str(MADE.parents[1]), "/home/", pwd.getpwnam("root").pw_dir + "/"]
        for name, arch, path in debs():
            with self.subTest(package=name, arch=arch), tempfile.TemporaryDirectory() as folder:
                said("dpkg-deb", "--extract", path, folder)
                for file in (p for p in Path(folder).rglob("*") if p.is_file()):
                    held = file.read_bytes()
                    self.assertEqual([h for h in homes if h.encode() in held], [], file.name)


if __name__ == "__main__":
    unittest.main()
