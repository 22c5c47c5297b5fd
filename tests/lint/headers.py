#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Every header compiles alone, and twice: the public ones as C11 and as C++17 with both compilers,
those of sdk/ as C11.

usage: headers.py COMPILER FLAG...  (the flags that sdk/ is compiled with)
"""

import concurrent.futures
import subprocess
import sys

import source

STRICT = ["-Wall", "-Wextra", "-Werror", "-pedantic", "-Wundef", "-Iinclude"]
PUBLIC_COMPILERS = (
    ["gcc", "-std=c11", "-x", "c"],
    ["clang", "-std=c11", "-x", "c"],
    ["g++", "-std=c++17", "-x", "c++"],
    ["clang++", "-std=c++17", "-x", "c++"],
)


def compile_alone(command, name):
    """Returns what the compiler said, or None when it was content."""
    result = subprocess.run(
        command + ["-fsyntax-only", "-"],
        input=f"#include {name}\n#include {name}\ntypedef int tested;\n",
        cwd=source.ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    if result.returncode == 0:
        return None
    return f"{name} with {command[0]} {command[1]}:\n{result.stdout}"


def main():
    jobs = []
    for path in source.files("include", suffixes=(".h",)):
        name = f"<{path.relative_to('include')}>"
        jobs += [(command + STRICT, name) for command in PUBLIC_COMPILERS]
    for path in source.files("include", suffixes=(".hpp",)):
        name = f"<{path.relative_to('include')}>"
        jobs += [(command + STRICT + ["-Wconversion"], name) for command in PUBLIC_COMPILERS if "c++" in command]
    for path in source.files("sdk", suffixes=(".h",)):
        jobs.append((sys.argv[1:] + ["-x", "c"], f'"{path.relative_to("sdk")}"'))
    with concurrent.futures.ThreadPoolExecutor(max_workers=2) as pool:
        complaints = [text for text in pool.map(lambda job: compile_alone(*job), jobs) if text]
    for text in complaints:
        print(text)
    if complaints:
        sys.exit(f"headers: {len(complaints)} to mend")
    print("headers: ok")


if __name__ == "__main__":
    main()
