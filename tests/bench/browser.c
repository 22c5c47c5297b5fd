/* SPDX-License-Identifier: Apache-2.0 */
#include "bench/browser.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The profile is new each time, and what Chromium does for itself is off. As root it has no sandbox. */
static const char command[] =
    "folder=$(mktemp -d) && HOME=$folder timeout 60 chromium --headless --no-sandbox"
    " --disable-gpu --disable-dev-shm-usage --disable-crash-reporter --no-first-run"
    " --disable-background-networking --disable-component-update --disable-sync"
    " --disable-default-apps --disable-extensions --enable-logging=stderr"
    " --host-resolver-rules='MAP * ~NOTFOUND' --user-data-dir=$folder/profile"
    " --log-net-log=$folder/net --dump-dom 'file://%s' >$folder/dom 2>$folder/log;"
    " result=$?; cat $folder/dom; printf '\\001';"
    " grep ':CONSOLE' $folder/log; printf '\\001';"
    /* What the browser asks for by itself has no origin. */
    " grep -o '\"initiator\":\"[^\"]*\"[^}]*' $folder/net | grep -v '\"not an origin\"' |"
    " grep '\"url\":\"[a-z]*:' | grep -v '\"url\":\"\\(file\\|data\\):'; printf '\\001';"
    " rm -rf $folder; exit $result";

static char *read_all(FILE *file) {
    char *text = NULL;
    size_t size = 0;
    char part[65536];
    FILE *whole = open_memstream(&text, &size);
    for (size_t got = 1; whole != NULL && got != 0;) {
        got = fread(part, 1, sizeof part, file);
        (void)fwrite(part, 1, got, whole);
    }
    if (whole != NULL) {
        (void)fclose(whole);
    }
    return text;
}

/* The text up to the next separator; *rest is behind it. */
static char *take_part(char **rest) {
    char *part = *rest;
    char *end = part != NULL ? strchr(part, '\001') : NULL;
    *rest = end != NULL ? end + 1 : NULL;
    if (end != NULL) {
        *end = '\0';
    }
    return end != NULL ? strdup(part) : NULL;
}

bool browser_open(struct browser_view *view, const char *path) {
    char line[sizeof command + 4096];
    memset(view, 0, sizeof *view);
    (void)snprintf(line, sizeof line, command, path);
    FILE *pipe = popen(line, "re");
    char *text = pipe != NULL ? read_all(pipe) : NULL;
    bool ended = pipe != NULL && pclose(pipe) == 0;
    char *rest = text;
    view->dom = take_part(&rest);
    view->console = take_part(&rest);
    view->requests = take_part(&rest);
    free(text);
    return ended && view->dom != NULL && view->console != NULL && view->requests != NULL;
}

void browser_close(struct browser_view *view) {
    free(view->dom);
    free(view->console);
    free(view->requests);
}

long browser_points(const struct browser_view *view, const char *plot, const char *name,
                    size_t nth) {
    char wanted[128];
    (void)snprintf(wanted, sizeof wanted, "<section id=\"plot-%s\">", plot);
    const char *at = strstr(view->dom, wanted);
    const char *end = at != NULL ? strstr(at, "</section>") : NULL;
    (void)snprintf(wanted, sizeof wanted, "data-name=\"%s\" data-count=\"", name);
    for (size_t i = 0; at != NULL; i++) {
        at = strstr(at, wanted);
        if (at == NULL || at > end) {
            return -1;
        }
        at += strlen(wanted);
        if (i == nth) {
            break;
        }
    }
    /* What is drawn, not what is said: the points of the line itself. */
    const char *points = at != NULL ? strstr(at, " points=\"") : NULL;
    long count = points != NULL ? 0 : -1;
    for (points = points != NULL ? points + 9 : ""; *points != '\0' && *points != '"';
         points++) {
        count += *points == ',';
    }
    return count;
}
