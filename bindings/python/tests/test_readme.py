# SPDX-License-Identifier: Apache-2.0
"""The examples of README.md run, one after another, and are what they say."""

import ast
import inspect
import re
import unittest

import support

import hearth

README = (support.PACKAGE / "README.md").read_text(encoding="utf-8")


def examples():
    """Each block of code and its first line in the file."""
    for match in re.finditer(r"^```python\n(.*?)^```$", README, re.MULTILINE | re.DOTALL):
        yield match.group(1), README.count("\n", 0, match.start()) + 2


class Readme(unittest.TestCase):
    """And what is public is documented."""

    def test_examples(self):
        # Functions that are cached without a key belong to a module.
        names, checked = {"__name__": "readme"}, 0
        for code, first in examples():
            lines = code.splitlines()
            tree = ast.parse(code)
            ast.increment_lineno(tree, first - 1)
            for statement in tree.body:
                line = lines[statement.end_lineno - first]
                wanted = re.search(r"# -> (.*)$", line)
                if wanted is None:
                    exec(compile(ast.Module([statement], []), "README.md", "exec"), names)
                    continue
                self.assertIsInstance(statement, ast.Expr, line)
                found = eval(compile(ast.Expression(statement.value), "README.md", "eval"), names)
                self.assertEqual(repr(found), wanted.group(1), f"README.md:{statement.lineno}")
                checked += 1
        self.assertGreater(checked, 40)

    def test_public_things_have_docstrings(self):
        for name in hearth.__all__:
            thing = getattr(hearth, name)
            if inspect.isclass(thing) or inspect.isfunction(thing):
                self.assertTrue(inspect.getdoc(thing), name)
        for name, member in inspect.getmembers(hearth.Cache):
            if not name.startswith("_"):
                self.assertTrue(inspect.getdoc(member), name)

    def test_every_error_is_in_the_table(self):
        for name in hearth.__all__:
            if name.endswith("Error"):
                self.assertIn(f"`{name}`", README)


if __name__ == "__main__":
    support.main()
