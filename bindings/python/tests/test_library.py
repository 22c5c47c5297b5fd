# SPDX-License-Identifier: Apache-2.0
"""Finding libhearth, refusing what does not fit, and the wheel."""

import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import unittest
import zipfile

import support

LIBRARY = os.environ["HEARTH_LIBRARY"]

TELL = "import hearth; print(hearth.library_path); hearth.Cache().set('key', b'1')"

#: a region whose backend is found by its entry point alone
REGION = """sys.path.remove(str(support.PACKAGE)); support.has("dogpile.cache")
from dogpile.cache import make_region
region = make_region().configure("hearth")
print(sys.modules[type(region.backend).__module__].__file__, region.get_or_create("key", lambda: [1]))
"""

ANOTHER = """
#include <stdint.h>
const char *hearth_version(void) { return VERSION; }
uint32_t hearth_abi_version(void) { return ABI; }
const char *hearth_status_name(int32_t status) { (void)status; return "HEARTH_?"; }
"""


class Finding(unittest.TestCase):
    """In its order."""

    def setUp(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="hearth-"))
        self.addCleanup(shutil.rmtree, self.folder)

    def run_here(self, **environment):
        """With a copy of the package, and nothing in the environment but this."""
        clean = {"HEARTH_LIBRARY": "", "LD_LIBRARY_PATH": "", "PYTHONPATH": str(self.folder)}
        if not (self.folder / "hearth").exists():
            shutil.copytree(support.PACKAGE / "hearth", self.folder / "hearth")
        return support.run_python(TELL, **{**clean, **environment})

    def assert_found(self, done, path):
        self.assertEqual(done.stderr, "")
        self.assertEqual(os.path.realpath(done.stdout.strip()), os.path.realpath(path))

    def assert_refused(self, done, kind, *words):
        self.assertNotEqual(done.returncode, 0)
        last = done.stderr.strip().splitlines()[-1]
        self.assertIn(f"hearth.errors.{kind}: ", last)
        for word in words:
            self.assertIn(str(word), last)

    def bundle(self, source=LIBRARY):
        self.run_here()
        bundled = self.folder / "hearth" / "libhearth.so.0"
        shutil.copy(source, bundled)
        return bundled

    def compile(self, version, abi):
        path = self.folder / "libhearth.so.0"
        subprocess.run(
            ["gcc", "-shared", "-fPIC", "-x", "c", "-", "-o", str(path), f'-DVERSION="{version}"',
             f"-DABI={abi}"],
            input=ANOTHER, text=True, check=True,
        )
        return path

    def test_what_the_environment_names_comes_first_and_last(self):
        bundled = self.bundle()
        self.assert_found(self.run_here(HEARTH_LIBRARY=LIBRARY), LIBRARY)
        missing = self.folder / "none.so"
        done = self.run_here(HEARTH_LIBRARY=str(missing))
        self.assert_refused(done, "LibraryNotFoundError", missing)
        self.assertNotIn(str(bundled), done.stderr.splitlines()[-1])

    def test_then_the_file_in_the_package_then_the_system(self):
        bundled = self.bundle()
        system = str(pathlib.Path(LIBRARY).parent)
        self.assert_found(self.run_here(LD_LIBRARY_PATH=system), bundled)
        bundled.unlink()
        self.assert_found(self.run_here(LD_LIBRARY_PATH=system), LIBRARY)

    def test_a_message_names_all_that_was_tried(self):
        bundled = self.bundle()
        bundled.write_bytes(b"no library")
        self.assert_refused(self.run_here(), "LibraryNotFoundError", bundled, "libhearth.so.0: ")

    def test_another_version_is_refused_by_file_and_versions(self):
        for version, abi in (("0.0.9", 0), ("0.1.0", 7), ("1.0.0", 1)):
            path = self.compile(version, abi)
            done = self.run_here(HEARTH_LIBRARY=str(path))
            self.assert_refused(done, "VersionMismatchError", path, version, f"ABI {abi}", "0.1.0", "ABI 0")

    def test_tables_that_differ_are_refused(self):
        path = self.compile("0.2.0", 0)
        done = self.run_here(HEARTH_LIBRARY=str(path))
        self.assert_refused(done, "VersionMismatchError", path, "HEARTH_OK = 0")

    def test_what_is_no_libhearth_is_refused(self):
        done = self.run_here(HEARTH_LIBRARY="libz.so.1")
        self.assert_refused(done, "VersionMismatchError", "libz", "no libhearth")


class Wheel(unittest.TestCase):
    """pip, without an index."""

    @classmethod
    def setUpClass(cls):
        cls.folder = pathlib.Path(tempfile.mkdtemp(prefix="hearth-"))
        cls.addClassCleanup(shutil.rmtree, cls.folder)

    def make(self, hook):
        code = f"import wheel_backend; print(wheel_backend.{hook}({str(self.folder)!r}))"
        done = support.run_python(code)
        self.assertEqual(done.stderr, "")
        return self.folder / done.stdout.split()[-1]

    def test_a_wheel_has_the_library_and_names_its_needs(self):
        wheel = self.make("build_wheel")
        self.assertRegex(wheel.name, r"^hearth-[\d.]+-py3-none-linux_\w+\.whl$")
        with zipfile.ZipFile(wheel) as archive:
            self.assertIsNone(archive.testzip())
            names = set(archive.namelist())
            (metadata,) = (n for n in names if n.endswith("/METADATA"))
            text = archive.read(metadata).decode()
        self.assertTrue(
            {"hearth/__init__.py", "hearth/py.typed", "hearth/libhearth.so.0"} <= names
        )
        self.assertFalse([name for name in names if "test" in name or "pycache" in name])
        for need in ("libhiredis", "libmemcached", "libhashkit"):
            self.assertIn(f"Requires-External: {need}.so", text)

    def test_it_runs_from_the_wheel_alone(self):
        wheel = self.make("build_wheel")
        target = self.folder / "site"
        with zipfile.ZipFile(wheel) as archive:
            archive.extractall(target)
        done = support.run_python(TELL, PYTHONPATH=str(target), HEARTH_LIBRARY="")
        self.assertEqual(done.stderr, "")
        self.assertEqual(done.stdout.strip(), str(target / "hearth" / "libhearth.so.0"))

    @support.needs("dogpile.cache")
    def test_an_installed_package_is_known_to_dogpile(self):
        wheel = self.make("build_wheel")
        target = self.folder / "installed"
        with zipfile.ZipFile(wheel) as archive:
            archive.extractall(target)
        # Its own deprecations are not ours.
        code = f"import sys; sys.path.insert(1, {str(support.HERE)!r}); import support; {REGION}"
        done = support.run_python(code, PYTHONPATH=str(target), HEARTH_LIBRARY="")
        self.assertEqual((done.stderr, done.stdout), ("", f"{target}/hearth/dogpile.py [1]\n"))

    def test_a_wheel_can_be_made_of_the_source_archive(self):
        archive = self.make("build_sdist")
        shutil.unpack_archive(archive, self.folder / "source")
        (tree,) = (self.folder / "source").iterdir()
        code = f"import wheel_backend; wheel_backend.build_wheel({str(self.folder)!r})"
        done = support.run_python(code, PYTHONPATH=str(tree))
        self.assertEqual((done.stderr, done.returncode), ("", 0))
        done = support.run_python(code, PYTHONPATH=str(tree), HEARTH_LIBRARY="")
        self.assertIn("HEARTH_LIBRARY", done.stderr)

    @support.long_form
    def test_pip_installs_it_in_an_empty_environment(self):
        place = self.folder / "venv"
        subprocess.run([sys.executable, "-m", "venv", str(place)], check=True)
        clean = {k: v for k, v in os.environ.items() if not k.startswith(("PYTHON", "PIP"))}
        install = ["-m", "pip", "install", "--no-index", "--disable-pip-version-check"]
        subprocess.run(
            [str(place / "bin" / "python"), *install, str(support.PACKAGE)],
            check=True, env=clean, stdout=subprocess.DEVNULL,
        )
        clean.pop("HEARTH_LIBRARY", None)
        said = subprocess.run(
            [str(place / "bin" / "python"), "-c", TELL],
            check=True, env=clean, capture_output=True, text=True,
        ).stdout
        self.assertTrue(said.startswith(str(place)), said)
        self.assertTrue(said.strip().endswith("hearth/libhearth.so.0"), said)


if __name__ == "__main__":
    support.main()
