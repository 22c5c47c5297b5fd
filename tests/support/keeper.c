/* SPDX-License-Identifier: Apache-2.0 */
#include "keeper.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

enum order { ORDER_START = 1, ORDER_KILL, ORDER_PAUSE, ORDER_RESUME, ORDER_LOOK };

struct request {
    int32_t order;
    int32_t pid;
    char command[KEEPER_COMMAND_BYTES];
};

struct reply {
    int32_t error;
    int32_t pid;
};

/* ---- the keeper's side: no heap and no stdio here, the program may have had threads ---- */

struct children {
    pid_t pids[KEEPER_CHILDREN_MAX];
    size_t count;
};

static bool has_ended(pid_t pid) {
    siginfo_t info;
    memset(&info, 0, sizeof info);
    int options = WEXITED | WNOHANG | WNOWAIT;
    return waitid(P_PID, (id_t)pid, &info, options) != 0 || info.si_pid != 0;
}

static void kill_and_reap(pid_t pid) {
    kill(pid, SIGKILL);
    while (waitpid(pid, NULL, 0) < 0 && errno == EINTR) {
    }
}

/* Their data go with the folder, so there is nothing that they would have to put in order. */
static void end_all(const struct children *children) {
    for (size_t i = 0; i < children->count; i++) {
        kill(children->pids[i], SIGKILL); /* all of them before the first is waited for */
    }
    for (size_t i = 0; i < children->count; i++) {
        kill_and_reap(children->pids[i]);
    }
}

static bool split_command(char *command, size_t size, char **arguments) {
    size_t count = 0;
    for (size_t at = 0; at < size; at += strlen(command + at) + 1) {
        if (count == KEEPER_ARGUMENTS_MAX) {
            return false;
        }
        arguments[count++] = command + at;
    }
    arguments[count] = NULL;
    return count >= 2;
}

static void take_default_signals(void) {
    for (int number = 1; number < NSIG; number++) {
        signal(number, SIG_DFL);
    }
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
}

/* Runs in the new process; comes back only on failure, with errno set. */
static void become(char **arguments, pid_t keeper) {
    take_default_signals();
    if (prctl(PR_SET_PDEATHSIG, SIGKILL) != 0) {
        return;
    }
    if (getppid() != keeper) {
        _exit(1);
    }
    int log = open(arguments[0], O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    if (log < 0 || dup2(log, STDOUT_FILENO) < 0 || dup2(log, STDERR_FILENO) < 0) {
        return;
    }
    execvp(arguments[1], arguments + 1);
}

static int start_child(struct children *children, char *command, size_t size, pid_t *pid) {
    char *arguments[KEEPER_ARGUMENTS_MAX + 1];
    int failure[2];
    if (children->count == KEEPER_CHILDREN_MAX || !split_command(command, size, arguments)) {
        return E2BIG;
    }
    if (pipe2(failure, O_CLOEXEC) != 0) {
        return errno;
    }
    pid_t self = getpid();
    pid_t child = fork();
    if (child == 0) {
        become(arguments, self);
        int error = errno;
        ssize_t written = write(failure[1], &error, sizeof error);
        _exit(written == (ssize_t)sizeof error ? 127 : 126);
    }
    int error = child < 0 ? errno : 0;
    close(failure[1]);
    if (child > 0 && read(failure[0], &error, sizeof error) == (ssize_t)sizeof error) {
        kill_and_reap(child);
    }
    close(failure[0]);
    if (error == 0) {
        children->pids[children->count++] = child;
        *pid = child;
    }
    return error;
}

static int pause_child(pid_t pid) {
    siginfo_t info;
    memset(&info, 0, sizeof info);
    kill(pid, SIGSTOP);
    if (waitid(P_PID, (id_t)pid, &info, WSTOPPED | WEXITED | WNOWAIT) != 0) {
        return errno;
    }
    return info.si_code == CLD_STOPPED ? 0 : ESRCH;
}

static int serve_child(struct children *children, const struct request *request) {
    pid_t pid = request->pid;
    size_t at = 0;
    while (at < children->count && children->pids[at] != pid) {
        at++;
    }
    if (at == children->count) {
        return ESRCH;
    }
    switch (request->order) {
    case ORDER_KILL:
        kill_and_reap(pid);
        children->pids[at] = children->pids[--children->count];
        return 0;
    case ORDER_PAUSE:
        return pause_child(pid);
    case ORDER_RESUME:
        return kill(pid, SIGCONT) == 0 ? 0 : errno;
    default:
        return has_ended(pid) ? ESRCH : 0;
    }
}

static int settle(int socket) {
    setsid();
    take_default_signals();
    signal(SIGINT, SIG_IGN);
    signal(SIGTERM, SIG_IGN);
    signal(SIGHUP, SIG_IGN);
    signal(SIGPIPE, SIG_IGN);
    prctl(PR_SET_NAME, "server-keeper");
    /* The program's own files and sockets must not live on in here. */
    int kept = 3;
    if (socket != kept) {
        kept = dup3(socket, kept, O_CLOEXEC);
    }
    int nothing = open("/dev/null", O_RDWR | O_CLOEXEC);
    dup2(nothing, STDIN_FILENO);
    dup2(nothing, STDOUT_FILENO);
    close_range(4, ~0U, 0);
    return kept;
}

static _Noreturn void keep(int socket, const char *folder) {
    struct children children = {.count = 0};
    struct request request;
    for (;;) {
        ssize_t got = recv(socket, &request, sizeof request, 0);
        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got < (ssize_t)offsetof(struct request, command)) {
            break;
        }
        struct reply reply = {0, 0};
        if (request.order == ORDER_START) {
            size_t size = (size_t)got - offsetof(struct request, command);
            reply.error = start_child(&children, request.command, size, &reply.pid);
        } else {
            reply.error = serve_child(&children, &request);
        }
        send(socket, &reply, sizeof reply, MSG_NOSIGNAL);
    }
    end_all(&children);
    execl("/bin/rm", "rm", "-rf", "--", folder, (char *)NULL);
    execlp("rm", "rm", "-rf", "--", folder, (char *)NULL);
    _exit(127);
}

/* ---- the program's side ---- */

static int ask(struct keeper *keeper, const struct request *request, size_t command_size,
               struct reply *reply) {
    size_t size = offsetof(struct request, command) + command_size;
    if (send(keeper->socket, request, size, MSG_NOSIGNAL) != (ssize_t)size) {
        return errno;
    }
    ssize_t got;
    do {
        got = recv(keeper->socket, reply, sizeof *reply, 0);
    } while (got < 0 && errno == EINTR);
    return got == (ssize_t)sizeof *reply ? reply->error : EPIPE;
}

static int ask_about(struct keeper *keeper, enum order order, pid_t pid) {
    struct request request = {.order = (int32_t)order, .pid = pid};
    struct reply reply;
    return ask(keeper, &request, 0, &reply);
}

int keeper_open(struct keeper *keeper, const char *folder) {
    int pair[2];
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) != 0) {
        return errno;
    }
    pid_t pid = fork();
    if (pid == 0) {
        keep(settle(pair[1]), folder);
    }
    int error = pid < 0 ? errno : 0;
    close(pair[1]);
    if (error != 0) {
        close(pair[0]);
        return error;
    }
    keeper->socket = pair[0];
    keeper->pid = pid;
    return 0;
}

int keeper_start(struct keeper *keeper, const char *command, size_t size, pid_t *pid) {
    struct request request = {.order = ORDER_START};
    struct reply reply;
    if (size == 0 || size > sizeof request.command || command[size - 1] != '\0') {
        return E2BIG;
    }
    memcpy(request.command, command, size);
    int error = ask(keeper, &request, size, &reply);
    if (error == 0) {
        *pid = reply.pid;
    }
    return error;
}

int keeper_kill(struct keeper *keeper, pid_t pid) {
    return ask_about(keeper, ORDER_KILL, pid);
}

int keeper_pause(struct keeper *keeper, pid_t pid) {
    return ask_about(keeper, ORDER_PAUSE, pid);
}

int keeper_resume(struct keeper *keeper, pid_t pid) {
    return ask_about(keeper, ORDER_RESUME, pid);
}

bool keeper_is_running(struct keeper *keeper, pid_t pid) {
    return ask_about(keeper, ORDER_LOOK, pid) == 0;
}

void keeper_close(struct keeper *keeper) {
    shutdown(keeper->socket, SHUT_RDWR); /* a fork of the program's may have it open too */
    while (waitpid(keeper->pid, NULL, 0) < 0 && errno == EINTR) {
    }
    close(keeper->socket);
}
