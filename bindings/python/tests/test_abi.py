# SPDX-License-Identifier: Apache-2.0
"""The mirror of the C tables: numbers and names by the generator, layouts and prototypes by the
compiler, which is asked what it makes of the headers."""

import ctypes
import re
import subprocess
import sys
import tempfile
import unittest

import support

import hearth
from hearth import _abi, _library, _tables

HEADER = (support.ROOT / "include" / "hearth" / "hearth.h").read_text(encoding="utf-8")
DECLARATIONS = "".join(
    (support.ROOT / "include" / "hearth" / name).read_text(encoding="utf-8")
    for name in ("hearth.h", "errors.h", "version.h")
)

#: kinds of arguments in C, by what the mirror may have for them
KINDS = {
    "pointer": (ctypes.c_void_p, ctypes.c_char_p),
    "size_t": (ctypes.c_size_t,),
    "ptrdiff_t": (ctypes.c_ssize_t,),
    "int32_t": (ctypes.c_int32,),
    "uint32_t": (ctypes.c_uint32,),
    "int64_t": (ctypes.c_int64,),
    "uint64_t": (ctypes.c_uint64,),
    "void": (None,),
}


def compiled(program):
    """What a C program says that includes the headers."""
    with tempfile.TemporaryDirectory(prefix="hearth-") as folder:
        path = f"{folder}/probe"
        subprocess.run(
            ["gcc", "-x", "c", "-", "-o", path, f"-I{support.ROOT / 'include'}"],
            input=program, text=True, check=True,
        )
        return subprocess.run([path], capture_output=True, text=True, check=True).stdout


def prototypes():
    """(name, result, arguments) of each exported function, in words of KINDS."""
    text = re.sub(r"/\*.*?\*/", "", DECLARATIONS, flags=re.DOTALL)
    for result, name, arguments in re.findall(
        r"^HEARTH_API ([^;()]*?)(hearth_\w+)\(([^;]*?)\)(?: HEARTH_CHECK)?;", text, re.MULTILINE
    ):
        words = [] if arguments == "void" else [kind_of(each) for each in arguments.split(",")]
        yield name, kind_of(result), words


def kind_of(text):
    if "*" in text or re.search(r"hearth_(sink_\w+|log_function|result_function|guard_iterator|writer)\b", text):
        return "pointer"
    return re.search(r"\b(size_t|ptrdiff_t|u?int(?:32|64)_t|void)\b", text).group(1)


class Mirror(unittest.TestCase):
    """What Python believes, and what C says."""

    def test_the_tables_are_those_of_the_headers(self):
        done = subprocess.run(
            [sys.executable, str(support.PACKAGE / "mirror.py"), "--check"],
            capture_output=True, text=True,
        )
        self.assertEqual((done.returncode, done.stderr), (0, ""))

    def test_constants_statuses_and_statistics(self):
        names = [n for n in vars(_tables) if n.isupper() and n not in ("STATUSES", "VERSION")]
        names.remove("LIBRARY_STATS")
        lines = [f'    printf("{name} %lld\\n", (long long)HEARTH_{name});' for name in names]
        lines += [
            f'    printf("{name} %d\\n", HEARTH_{name});' for name in _tables.STATUSES
        ]
        lines += [
            '#define ROW(name, value, text) printf("status %s\\n", #name);',
            "    HEARTH_STATUS_MAP(ROW)",
            '#define STAT(field, kind, help) printf("stat %s\\n", #field);',
            "    HEARTH_STATS_MAP(STAT)",
        ]
        said = compiled(
            "#include <hearth/hearth.h>\n#include <stdio.h>\nint main(void) {\n"
            + "\n".join(lines)
            + "\n}\n"
        ).split("\n")
        expected = [f"{name} {getattr(_tables, name)}" for name in names]
        expected += [f"{name} {value}" for name, value in _tables.STATUSES.items()]
        expected += [f"status {name}" for name in _tables.STATUSES]
        expected += [f"stat {name}" for name in _tables.Stats._fields[: _tables.LIBRARY_STATS]]
        self.assertEqual(said[:-1], expected)

    def test_structs(self):
        lines, expected = [], []
        for name, struct in _abi.STRUCTS.items():
            lines.append(f'    printf("{name} %zu\\n", sizeof({name}));')
            expected.append(f"{name} {ctypes.sizeof(struct)}")
            for field, kind in struct._fields_:
                lines.append(
                    f'    printf("{name}.{field} %zu %zu\\n", offsetof({name}, {field}),'
                    f" sizeof((({name} *)0)->{field}));"
                )
                offset = getattr(struct, field).offset
                expected.append(f"{name}.{field} {offset} {ctypes.sizeof(kind)}")
        said = compiled(
            "#include <hearth/hearth.h>\n#include <stddef.h>\n#include <stdio.h>\n"
            "int main(void) {\n" + "\n".join(lines) + "\n}\n"
        )
        self.assertEqual(said.splitlines(), expected)

    def test_prototypes(self):
        declared = {name: (result, words) for name, result, words in prototypes()}
        self.assertGreater(len(declared), 50)
        for name, (result, arguments) in _abi.PROTOTYPES.items():
            wanted_result, wanted = declared[name]
            self.assertIn(result, KINDS[wanted_result], name)
            self.assertEqual(len(arguments), len(wanted), name)
            for given, word in zip(arguments, wanted):
                is_pointer = hasattr(given, "contents") or issubclass(given, ctypes._CFuncPtr)
                self.assertTrue(given in KINDS[word] or (word == "pointer" and is_pointer), name)

    def test_every_error_has_a_class(self):
        errors = {value for name, value in _tables.STATUSES.items() if name.startswith("E_")}
        self.assertEqual(set(hearth.errors.BY_STATUS), errors)
        for each in hearth.errors.BY_STATUS.values():
            self.assertTrue(issubclass(each, hearth.CacheError))

    def test_the_library_itself_agrees(self):
        self.assertEqual(list(_library.differences(_library.lib)), [])
        self.assertEqual(hearth.__version__, _tables.VERSION)
        with hearth.Cache() as cache:
            text = cache.stats_text()
        for field in _tables.Stats._fields[: _tables.LIBRARY_STATS]:
            self.assertRegex(text, rf"\nhearth_{field}(_total)? \d")


if __name__ == "__main__":
    support.main()
