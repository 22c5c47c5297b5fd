# SPDX-License-Identifier: Apache-2.0
"""What the tests share: a program's main, servers, and threads that tell what went wrong in them."""

import ast
import contextlib
import http.client
import importlib.util
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import traceback
import unittest
import warnings

HERE = pathlib.Path(__file__).resolve().parent
PACKAGE = HERE.parent
ROOT = PACKAGE.parent.parent
LONG = bool(os.environ.get("HEARTH_LONG"))

sys.path.insert(0, str(PACKAGE))

# Who was started in the background may have been told to ignore it, and its children with it.
signal.signal(signal.SIGINT, signal.default_int_handler)


# ---- results as tests/run.py reads them ----------------------------------------------------------


class Result(unittest.TextTestResult):
    """One line when a test begins and one when it has ended, as cmocka writes them."""

    def _line(self, word, test, why=None):
        self.stream.write(f"[ {word:>8} ] {test.id().split('.', 1)[1]}\n")
        if why:
            self.stream.write(f"{why}\n")
        self.stream.flush()

    def startTest(self, test):
        super().startTest(test)
        self._line("RUN", test)
        self.ended = False

    def _end(self, word, test, why=None):
        if not self.ended:
            self._line(word, test, why)
        self.ended = True

    def addSuccess(self, test):
        unittest.TestResult.addSuccess(self, test)
        self._end("OK", test)

    def addError(self, test, err):
        unittest.TestResult.addError(self, test, err)
        self._end("FAILED", test, self._exc_info_to_string(err, test))

    def addFailure(self, test, err):
        unittest.TestResult.addFailure(self, test, err)
        self._end("FAILED", test, self._exc_info_to_string(err, test))

    def addSkip(self, test, reason):
        unittest.TestResult.addSkip(self, test, reason)
        self._end("SKIPPED", test, reason)

    def addSubTest(self, test, subtest, err):
        unittest.TestResult.addSubTest(self, test, subtest, err)
        if err is not None:
            self._end("FAILED", test, f"{subtest}\n{self._exc_info_to_string(err, test)}")

    def printErrors(self):
        """They are told where they occur."""


def main():
    """Runs the tests of the program, or those named on the command line."""
    module = sys.modules["__main__"]
    loader = unittest.TestLoader()
    names = sys.argv[1:]
    suite = (
        loader.loadTestsFromNames(names, module) if names else loader.loadTestsFromModule(module)
    )
    print(f"[==========] Running {suite.countTestCases()} test(s).", flush=True)
    result = Result(unittest.runner._WritelnDecorator(sys.stdout), True, 0)
    with result_hooks():
        suite.run(result)
    sys.exit(0 if result.wasSuccessful() else 1)


@contextlib.contextmanager
def result_hooks():
    """What is raised where nobody sees it fails the program."""
    unseen, before = [], (sys.unraisablehook, threading.excepthook)
    sys.unraisablehook = lambda what: unseen.append(f"{what.err_msg}: {what.exc_value!r}")
    threading.excepthook = lambda what: unseen.append(f"in a thread: {what.exc_value!r}")
    yield
    sys.unraisablehook, threading.excepthook = before
    if unseen:
        sys.exit(f"raised where nobody sees it: {unseen}")


def long_form(test):
    """A test that runs with HEARTH_LONG only; else it is not there."""
    return test if LONG else None


def has(module):
    """Whether a framework can be imported. What is deprecated in its code is not for us to mend."""
    for kind in (DeprecationWarning, PendingDeprecationWarning):
        warnings.filterwarnings("ignore", "", kind, r"(?!hearth|__main__)")
    return not missing_of([module])


def missing_of(modules):
    """Those that cannot be imported."""
    missing = []
    for name in modules:
        try:
            found = importlib.util.find_spec(name)
        except ModuleNotFoundError:  # of "dogpile.cache", where there is no dogpile
            found = None
        if found is None:
            missing.append(name)
    return missing


def needs(*modules):
    """Skips where Debian's packages are not there: with a Python of another origin."""
    missing = missing_of(modules)
    return unittest.skipIf(missing, f"no {', '.join(missing)} here")


class OnNodes:
    """For test cases of which there is one for each kind of nodes."""

    server = None  #: of Server; None: no nodes outside of the process

    @classmethod
    def setUpClass(cls):
        cls.node = Server(cls.server) if cls.server else None
        cls.url = cls.node.url if cls.node else "embedded://"

    @classmethod
    def tearDownClass(cls):
        if cls.node:
            cls.node.end()


# ---- examples ------------------------------------------------------------------------------------


def examples(text):
    """Each block of code of a page, and its first line there."""
    for match in re.finditer(r"^```python\n(.*?)^```$", text, re.MULTILINE | re.DOTALL):
        yield match.group(1), text.count("\n", 0, match.start()) + 2


def run_examples(test, page):
    """Runs a page's examples, one after another; how many were compared with what `# ->` says."""
    # Functions that are cached without a key belong to a module.
    names, checked = {"__name__": "readme"}, 0
    for code, first in examples(page.read_text(encoding="utf-8")):
        lines = code.splitlines()
        tree = ast.parse(code)
        ast.increment_lineno(tree, first - 1)
        for statement in tree.body:
            line = lines[statement.end_lineno - first]
            wanted = re.search(r"# -> (.*)$", line)
            if wanted is None:
                exec(compile(ast.Module([statement], []), page.name, "exec"), names)
                continue
            test.assertIsInstance(statement, ast.Expr, line)
            found = eval(compile(ast.Expression(statement.value), page.name, "eval"), names)
            test.assertEqual(repr(found), wanted.group(1), f"{page.name}:{statement.lineno}")
            checked += 1
    return checked


# ---- threads -------------------------------------------------------------------------------------


def run_threads(count, work):
    """work(index) in so many threads; their results, in order. What one raises is raised."""
    results, errors = [None] * count, []

    def run(index):
        try:
            results[index] = work(index)
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=run, args=(index,)) for index in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
        assert not thread.is_alive(), "a thread hangs"
    if errors:
        raise errors[0]
    return results


def kept(ask):
    """What `ask` finds in the local tier. A copy from before its node tells of changes ends once."""
    return next(value for value in (ask() for _ in range(100)) if value.tier == "local")


def await_until(true, seconds=20):
    """Until it is so."""
    limit = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < limit, "it did not come to be so"
        time.sleep(0.002)


# ---- processes -----------------------------------------------------------------------------------


def environment(**more):
    """For another Python that imports this package."""
    return {**os.environ, "PYTHONPATH": str(PACKAGE), "PYTHONDONTWRITEBYTECODE": "1", **more}


def run_python(code, *arguments, timeout=60, python=sys.executable, **more):
    """Runs a program in another process; what it was and said."""
    return subprocess.run(
        [python, "-X", "dev", "-W", "error", "-c", code, *arguments],
        env=environment(**more),
        capture_output=True,
        text=True,
        timeout=timeout,
    )


def in_child(work):
    """Runs it in a forked child, which ends at once afterwards; raises what went wrong."""
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        status = 1
        try:
            signal.alarm(30)
            work()
            status = 0
        except BaseException:
            os.write(write, traceback.format_exc().encode()[-4000:])
        finally:
            os._exit(status)
    os.close(write)
    with os.fdopen(read, "rb") as said:
        text = said.read().decode()
    _, status = os.waitpid(child, 0)
    if status:
        raise AssertionError(f"the child ended with {status}: {text}")


class Server:
    """A Redis or Memcached node on a Unix socket, of this test's own."""

    def __init__(self, kind):
        self.folder = tempfile.mkdtemp(prefix="hearth-")
        self.socket = os.path.join(self.folder, "s")
        self.kind = kind
        self.start()

    def start(self):
        """At first, and after stop()."""
        if self.kind == "redis":
            command = ["redis-server", "--port", "0", "--unixsocket", self.socket, "--save", ""]
        else:
            command = ["memcached", "-s", self.socket, "-u", "root"]
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self.socket)
        self.process = subprocess.Popen(
            command, cwd=self.folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        await_until(self._answers)

    def _answers(self):
        with socket.socket(socket.AF_UNIX) as probe:
            try:
                probe.connect(self.socket)
            except OSError:
                return False
            return True

    @property
    def url(self):
        """For Cache.from_url()."""
        return f"{self.kind}+unix://{self.socket}"

    @contextlib.contextmanager
    def held(self):
        """It answers nobody meanwhile, and everybody afterwards."""
        self.process.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self.process.send_signal(signal.SIGCONT)

    @contextlib.contextmanager
    def unreachable(self):
        """Nobody gets a connection meanwhile; it keeps what it has."""
        os.rename(self.socket, self.socket + "-")
        try:
            yield
        finally:
            os.rename(self.socket + "-", self.socket)

    def stop(self):
        """As if it had been killed."""
        self.process.kill()
        self.process.wait()

    def end(self):
        """For good."""
        self.stop()
        shutil.rmtree(self.folder)


class Connection(http.client.HTTPConnection):
    """Over a Unix socket, to a worker of gunicorn's."""

    def __init__(self, path):
        super().__init__("localhost", timeout=20)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.path)
