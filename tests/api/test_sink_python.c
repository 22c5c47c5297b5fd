/* SPDX-License-Identifier: Apache-2.0 */
/* The object sink driven from Python: each test is a function of sink.py. It loads the shared library, which builds with a
 * sanitizer do not have, so there this program is not built. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
/* cmocka.h needs stdarg, stddef and setjmp before it. */
#include <cmocka.h>

static char build[3000]; /* build/VARIANT: this program is in its tests/api */

static int find_build(void **state) {
    (void)state;
    ssize_t size = readlink("/proc/self/exe", build, sizeof build - 1);
    assert_true(size > 0);
    for (int i = 0; i < 3; i++) {
        char *slash = strrchr(build, '/');
        assert_non_null(slash);
        *slash = '\0';
    }
    return 0;
}

static void run_in_python(void **state) {
    const struct CMUnitTest *test = *state;
    char command[8192];
    char said[4096];
    const char *python = getenv("PYTHON") != NULL ? getenv("PYTHON") : "python3";
    (void)snprintf(
        command, sizeof command,
        "PYTHONDONTWRITEBYTECODE=1 '%s' -X faulthandler '%s/../../tests/api/sink.py' "
        "'%s/libhearth.so' %s 2>&1",
        python, build, build, test->name);
    FILE *pipe = popen(command, "re");
    assert_non_null(pipe);
    size_t size = fread(said, 1, sizeof said - 1, pipe);
    said[size] = '\0';
    int status = pclose(pipe);
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) {
        fail_msg("%s", said);
    }
}

int main(void) {
    struct CMUnitTest tests[] = {
        {"a_hit_is_bytes_and_a_miss_the_sentinel", run_in_python, NULL, NULL, NULL},
        {"no_reference_is_lost_or_kept", run_in_python, NULL, NULL, NULL},
        {"an_exception_of_make_is_raised", run_in_python, NULL, NULL, NULL},
        {"make_may_be_python_and_read_again", run_in_python, NULL, NULL, NULL},
        {"a_version_tells_whether_a_decoded_object_is_good", run_in_python, NULL, NULL, NULL},
        {"readers_with_the_lock_and_writers_without_get_along", run_in_python, NULL, NULL,
         NULL},
    };
    for (size_t i = 0; i < sizeof tests / sizeof tests[0]; i++) {
        tests[i].initial_state = &tests[i];
    }
    return cmocka_run_group_tests_name("sink, python", tests, find_build, NULL);
}
