# SPDX-License-Identifier: Apache-2.0
"""gunicorn --preload with four workers, one of which is killed now and then."""

import http.client
import json
import os
import pathlib
import random
import signal
import subprocess
import sys
import time
import unittest

import support

SECONDS, KILLED_EVERY_S = (30, 3) if support.LONG else (2, 0.5)


def ask(path, what):
    """(status, body), or None if the worker was killed meanwhile."""
    connection = support.Connection(path)
    try:
        connection.request("GET", what)
        answer = connection.getresponse()
        return answer.status, answer.read().decode()
    except TimeoutError:
        raise AssertionError(f"{what} hangs") from None
    except (OSError, http.client.HTTPException):
        return None
    finally:
        connection.close()


def children(pid):
    """The workers."""
    text = pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii")
    return [int(each) for each in text.split()]


@support.needs("flask", "gunicorn")
class Prefork(unittest.TestCase):
    """Load from four threads."""

    def test_workers_are_killed_and_no_value_is_wrong(self):
        node = support.Server("redis")
        self.addCleanup(node.end)
        path = f"{node.folder}/web"
        master = subprocess.Popen(
            [sys.executable, "-m", "gunicorn", "--preload", "-w", "4", "-b", f"unix:{path}",
             "--log-level", "critical", "gunicorn_app:app"],
            cwd=support.HERE, env=support.environment(HEARTH_TEST_URL=node.url),
        )
        self.addCleanup(master.wait)
        self.addCleanup(master.terminate)
        support.await_until(lambda: ask(path, "/user/1"))
        end = time.monotonic() + SECONDS

        def work(index):
            random_of = random.Random(index)
            right = lost = 0
            while time.monotonic() < end:
                if index == 0:
                    time.sleep(KILLED_EVERY_S)
                    os.kill(random_of.choice(children(master.pid)), signal.SIGKILL)
                    continue
                number = random_of.randrange(200)
                answer = ask(path, f"/{random_of.choice(('user', 'write'))}/{number}")
                if answer is None:
                    lost += 1
                    continue
                status, body = answer
                assert status == 200, answer
                found = json.loads(body)
                assert found in (number, {"n": number, "square": number * number}), answer
                right += 1
            return right, lost

        results = support.run_threads(5, work)
        right, lost = (sum(column) for column in zip(*results[1:]))
        print(f"{right} right, {lost} lost with their workers")
        self.assertGreater(right, 100)
        self.assertLess(lost, 100)
        owners = {}
        for _ in range(300):
            answer = ask(path, "/sockets")
            if answer:
                said = json.loads(answer[1])
                owners[said["pid"]] = set(said["sockets"])
        self.assertGreaterEqual(len(owners), 2)
        everywhere = set.intersection(*owners.values())
        own = [sockets - everywhere for sockets in owners.values()]
        self.assertEqual(sum(map(len, own)), len(set.union(*own)), owners)


if __name__ == "__main__":
    support.main()
