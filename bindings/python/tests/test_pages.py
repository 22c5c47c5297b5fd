# SPDX-License-Identifier: Apache-2.0
"""The examples of each framework's page run, one after another, and are what they say."""

import unittest

import support

DOCS = support.PACKAGE / "docs"


class Pages(unittest.TestCase):
    """One test for each."""

    def run_page(self, name):
        support.has(name)  # its own deprecations are not ours
        self.assertGreater(support.run_examples(self, DOCS / name), 3)

    @support.needs("django")
    def test_django(self):
        self.run_page("django.md")


if __name__ == "__main__":
    support.main()
