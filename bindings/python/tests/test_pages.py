# SPDX-License-Identifier: Apache-2.0
"""The examples of each framework's page run, one after another, and are what they say."""

import unittest

import support

DOCS = support.PACKAGE / "docs"


class Pages(unittest.TestCase):
    """One test for each."""

    def run_page(self, name):
        support.has(name)  # its own deprecations are not ours
        self.assertGreater(support.run_examples(self, DOCS / name), 1)

    def test_no_page_with_examples_is_left_out(self):
        pages = [page.stem for page in DOCS.glob("*.md") if "```python" in page.read_text("utf-8")]
        self.assertEqual([page for page in pages if not hasattr(self, f"test_{page}")], [])

    @support.needs("django")
    def test_django(self):
        self.run_page("django.md")

    @support.needs("dogpile.cache")
    def test_dogpile(self):
        self.run_page("dogpile.md")

    @support.needs("flask_caching", "cachelib")
    def test_flask(self):
        self.run_page("flask.md")

    @support.needs("fastapi", "httpx")
    def test_fastapi(self):
        self.run_page("fastapi.md")


if __name__ == "__main__":
    support.main()
