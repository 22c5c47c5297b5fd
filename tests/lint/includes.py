#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Who may include what: the layers of sdk/, one header shown per room, sockets, public headers."""

import re

import source

MIDDLE = {"local", "guard", "ring", "remote", "coherence"}
MAY_INCLUDE = {
    "api": {"tier", "base"},
    "tier": MIDDLE | {"base"},
    "base": set(),
    **{room: {"base"} for room in MIDDLE},
}

STANDARD_FOR_PUBLIC = {"stdbool.h", "stddef.h", "stdint.h"}

# Headers that open, or reach, a socket; the two client libraries connect by themselves.
SOCKETS = re.compile(
    r"^(sys/(socket|un|epoll|select|poll)\.h|netinet/.*|arpa/.*|netdb\.h|poll\.h"
    r"|(hiredis/)?(hiredis|async|net)\.h|libmemcached.*)$"
)
SOCKET_ROOMS = {"remote", "coherence"}
# Those that serve others.
SOCKET_FILES = {"sdk/tier/stats_socket.c", "sdk/tier/stats_server.c"}

INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]*([<"])([^>"]+)[>"]', re.MULTILINE)


def includes(path):
    text = source.without_comments(source.read(path))
    for match in INCLUDE.finditer(text):
        yield source.line_of(text, match.start(1)), match.group(1) == '"', match.group(2)


def check_own(room, name):
    """What is wrong with `#include "name"` in a file of the room, or None."""
    target, _, file = name.partition("/")
    if not (source.ROOT / "sdk" / name).is_file():
        return f'"{name}" is not a file seen from sdk/ (write "room/file.h")'
    if target == room:
        return None
    if target not in MAY_INCLUDE[room]:
        return f"{room}/ may not include {target}/"
    if target != "base" and file != f"{target}.h":
        return f'{target}/ shows only "{target}/{target}.h" to other rooms, not "{name}"'
    return None


def check_system(path, name):
    """What is wrong with `#include <name>` in a file of the room, or None."""
    if name.partition("/")[0] in MAY_INCLUDE:
        return f'<{name}>: write headers of sdk/ as "{name}"'
    if SOCKETS.match(name) and path.parts[1] not in SOCKET_ROOMS and str(path) not in SOCKET_FILES:
        return f"<{name}>: sockets belong to remote/ and coherence/, and to {sorted(SOCKET_FILES)}"
    return None


def check_public(quoted, name):
    """What is wrong with an include of a public header, or None."""
    if quoted:
        return f'"{name}": public headers are included as <hearth/...>'
    if name.startswith("hearth/"):
        return None if (source.ROOT / "include" / name).is_file() else f"<{name}> does not exist"
    if name not in STANDARD_FOR_PUBLIC:
        return f"<{name}>: public headers include only public ones and {sorted(STANDARD_FOR_PUBLIC)}"
    return None


def main():
    findings = source.Findings()
    for path in source.files("sdk"):
        room = path.parts[1]
        if room not in MAY_INCLUDE or len(path.parts) != 3:
            findings.add(path, 1, f"sources lie in sdk/ROOM/, and the rooms are {sorted(MAY_INCLUDE)}")
            continue
        for line, quoted, name in includes(path):
            wrong = check_own(room, name) if quoted else check_system(path, name)
            if wrong:
                findings.add(path, line, wrong)
    for path in source.files("include"):
        for line, quoted, name in includes(path):
            wrong = check_public(quoted, name)
            if wrong:
                findings.add(path, line, wrong)
    findings.finish("includes")


if __name__ == "__main__":
    main()
