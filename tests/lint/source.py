# SPDX-License-Identifier: Apache-2.0
"""What the lint checks share: which files there are, and C text without its comments."""

import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
SKIPPED_FOLDERS = {"build", "dist", ".git", "__pycache__"}

_COMMENT_OR_LITERAL = re.compile(
    r"""//[^\n]*|/\*.*?\*/|"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*'""", re.DOTALL
)


def files(*folders, suffixes=(".c", ".h")):
    """Every file with one of the suffixes under the folders, as a path from the root."""
    for folder in folders:
        for path in sorted((ROOT / folder).rglob("*")):
            relative = path.relative_to(ROOT)
            if SKIPPED_FOLDERS.isdisjoint(relative.parts) and path.suffix in suffixes and path.is_file():
                yield relative


def read(path):
    return (ROOT / path).read_text(encoding="utf-8")


def _blank(match):
    return re.sub(r"[^\n]", " ", match.group())


def without_comments(text):
    """Comments become blanks; line numbers and literals stay."""
    return _COMMENT_OR_LITERAL.sub(
        lambda match: match.group() if match.group()[0] in "\"'" else _blank(match), text
    )


def code_only(text):
    """Comments and literals become blanks; line numbers stay."""
    return _COMMENT_OR_LITERAL.sub(_blank, text)


def line_of(text, position):
    return text.count("\n", 0, position) + 1


class Findings:
    """Collects `file:line: message` and turns them into an exit status."""

    def __init__(self):
        self.lines = []

    def add(self, path, line, message):
        self.lines.append(f"{path}:{line}: {message}")

    def finish(self, what):
        for line in self.lines:
            print(line)
        if self.lines:
            sys.exit(f"{what}: {len(self.lines)} to mend")
        print(f"{what}: ok")
