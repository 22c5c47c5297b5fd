# SPDX-License-Identifier: Apache-2.0
"""Builds the wheel, with libhearth in it; for pip (PEP 517, PEP 660). It needs the standard library
alone, so that `pip install` works without an index.

The library is the file that HEARTH_LIBRARY names, else what `make lib` makes of the tree that this
package lies in. It needs libhiredis, libmemcached and libhashkit, which stay the system's: the
wheel's metadata names them (Requires-External).
"""

import base64
import hashlib
import io
import os
import pathlib
import re
import shutil
import subprocess
import sysconfig
import tarfile
import zipfile

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
NAME = "hearth"
#: the same for the same files
_DATE = (2026, 1, 1, 0, 0, 0)


def _table(name):
    text = (HERE / NAME / "_tables.py").read_text(encoding="utf-8")
    return re.search(rf'^{name} = "?([^"\n]+)', text, re.MULTILINE).group(1)


VERSION = _table("VERSION")
SONAME = f"libhearth.so.{_table('ABI_VERSION')}"
TAG = f"py3-none-{re.sub(r'[-.]', '_', sysconfig.get_platform())}"


def _library():
    named = os.environ.get("HEARTH_LIBRARY")
    if named:
        return pathlib.Path(named)
    if not (ROOT / "include" / "hearth" / "hearth.h").is_file():
        raise SystemExit("set HEARTH_LIBRARY to the libhearth that belongs into the wheel")
    subprocess.run(["make", "-C", str(ROOT), "lib", "VARIANT=plain", "CC=gcc"], check=True)
    return ROOT / "build" / "plain" / SONAME


def _needs(library):
    """What the library is linked to besides the C library, by soname."""
    if shutil.which("readelf") is None:
        return []
    said = subprocess.run(
        ["readelf", "-d", str(library)], check=True, capture_output=True, text=True
    ).stdout
    found = re.findall(r"\(NEEDED\).*\[(.*)\]", said)
    return [name for name in found if not re.match(r"lib[cm]\.so|ld-", name)]


def _metadata(library=None):
    needs = [f"Requires-External: {name}" for name in (_needs(library) if library else [])]
    return "\n".join(
        [
            "Metadata-Version: 2.1",
            f"Name: {NAME}",
            f"Version: {VERSION}",
            "Summary: Two-tier cache: a hot tier in the process before Redis or Memcached",
            "License: Apache-2.0",
            "Requires-Python: >=3.9",
            "Classifier: Typing :: Typed",
            "Classifier: Operating System :: POSIX :: Linux",
            "Classifier: Programming Language :: Python :: Implementation :: CPython",
            *needs,
            "Description-Content-Type: text/markdown",
            "",
            (HERE / "README.md").read_text(encoding="utf-8"),
        ]
    )


def _write(folder, files, tag):
    """A wheel of these files, with the record of them that wheels have."""
    info = f"{NAME}-{VERSION}.dist-info"
    files = dict(files)
    files[f"{info}/WHEEL"] = (
        f"Wheel-Version: 1.0\nGenerator: hearth\nRoot-Is-Purelib: false\nTag: {tag}\n".encode()
    )
    record = io.StringIO()
    for name, data in files.items():
        digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
        record.write(f"{name},sha256={digest},{len(data)}\n")
    record.write(f"{info}/RECORD,,\n")
    files[f"{info}/RECORD"] = record.getvalue().encode()
    wheel = f"{NAME}-{VERSION}-{tag}.whl"
    with zipfile.ZipFile(os.path.join(folder, wheel), "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            entry = zipfile.ZipInfo(name, _DATE)
            entry.external_attr = 0o644 << 16
            entry.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(entry, data)
    return wheel


def _info_files(library):
    info = f"{NAME}-{VERSION}.dist-info"
    files = {
        f"{info}/METADATA": _metadata(library).encode(),
        f"{info}/entry_points.txt": b"[dogpile.cache]\nhearth = hearth.dogpile:HearthBackend\n",
    }
    for licence in (HERE / "LICENSE", ROOT / "LICENSE"):
        if licence.is_file():
            files[f"{info}/LICENSE"] = licence.read_bytes()
            break
    return files


def _sources():
    return sorted(
        path for path in (HERE / NAME).iterdir() if path.suffix == ".py" or path.name == "py.typed"
    )


def build_wheel(wheel_directory, config_settings=None, metadata_directory=None):
    """PEP 517: the package and the library."""
    library = _library()
    files = {f"{NAME}/{path.name}": path.read_bytes() for path in _sources()}
    files[f"{NAME}/{SONAME}"] = library.read_bytes()
    return _write(wheel_directory, {**files, **_info_files(library)}, TAG)


def build_editable(wheel_directory, config_settings=None, metadata_directory=None):
    """PEP 660: a path to this tree. The library is found by HEARTH_LIBRARY or by the system."""
    files = {f"{NAME}-editable.pth": f"{HERE}\n".encode()}
    return _write(wheel_directory, {**files, **_info_files(None)}, "py3-none-any")


def build_sdist(sdist_directory, config_settings=None):
    """PEP 517: the sources; to make a wheel of them, HEARTH_LIBRARY has to name the library."""
    base = f"{NAME}-{VERSION}"
    with tarfile.open(os.path.join(sdist_directory, f"{base}.tar.gz"), "w:gz") as archive:
        for path in (*_sources(), *(HERE / n for n in ("pyproject.toml", "README.md"))):
            archive.add(path, f"{base}/{path.relative_to(HERE)}")
        archive.add(HERE / "wheel_backend.py", f"{base}/wheel_backend.py")
        archive.add(ROOT / "LICENSE", f"{base}/LICENSE")
        data = _metadata().encode()
        entry = tarfile.TarInfo(f"{base}/PKG-INFO")
        entry.size = len(data)
        archive.addfile(entry, io.BytesIO(data))
    return f"{base}.tar.gz"
