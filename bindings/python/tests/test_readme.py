# SPDX-License-Identifier: Apache-2.0
"""The examples of README.md run, one after another, and are what they say."""

import inspect
import unittest

import support

import hearth

README = (support.PACKAGE / "README.md").read_text(encoding="utf-8")


class Readme(unittest.TestCase):
    """And what is public is documented."""

    def test_examples(self):
        self.assertGreater(support.run_examples(self, support.PACKAGE / "README.md"), 40)

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
