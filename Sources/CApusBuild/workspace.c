// SPDX-License-Identifier: Apache-2.0
//
// A workspace is a root of its own: an empty file system in memory, into which everything of the old root is bound where
// it was, and beside that APUS_WORKSPACE_FOLDER with the user's folders at fixed paths. Nothing of the old root is hidden
// or changed, no folder has to exist beforehand, and all of it vanishes with the last process that is in it, however
// that ends.
//
// Two processes:
//
//     apus ---- starts ----> supervisor ---- forks ----> command, in the workspace
//                              |  waits for whichever ends first: the command, or apus
//
// The supervisor stays outside. It sits there because a command that is not our child (SwiftPM's own children) can only
// be found and killed by a process that inherits orphans, and because the death of apus must be noticed by somebody: the
// kernel's signal at a parent's death follows the thread that forked, which in apus may end at any time.
//
// Everything after the fork is system calls only: other threads of this process may have held any lock.

#define _GNU_SOURCE

#include "apus_workspace.h"

#if defined(__linux__)

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

/// Where the old root lies while its folders are taken over.
#define OLD_ROOT "/.apus-old-root"

/// What the command ends with when there is no workspace for it: EX_OSERR.
enum { status_no_workspace = 71, status_not_found = 127, status_not_executable = 126 };

/// How long a command may take to end when it was asked to.
enum { grace_milliseconds = 5000 };

/// What was being done when something failed.
struct failure {
    const char *operation;
    const char *object;
    int number;
};

static bool failed(struct failure *failure, const char *operation, const char *object) {
    failure->operation = operation;
    failure->object = object;
    failure->number = errno;
    return false;
}

// MARK: entering

static bool write_map(struct failure *failure, const char *file, const char *text) {
    int descriptor = open(file, O_WRONLY | O_CLOEXEC);
    if (descriptor < 0) {
        return failed(failure, "open", file);
    }
    bool is_written = write(descriptor, text, strlen(text)) == (ssize_t)strlen(text);
    if (!is_written) {
        failed(failure, "write", file);
    }
    close(descriptor);
    return is_written;
}

/// A mount namespace; for whoever may not have one of his own accord, inside a user namespace in which he is who he was.
static bool make_namespaces(struct failure *failure) {
    uid_t user = geteuid();
    gid_t group = getegid();
    if (unshare(CLONE_NEWNS) == 0) {
        return true;
    }
    if (unshare(CLONE_NEWUSER | CLONE_NEWNS) != 0) {
        return failed(failure, "make", "a user namespace");
    }
    char map[64];
    // The kernel wants this before a group may be mapped without privileges.
    if (!write_map(failure, "/proc/self/setgroups", "deny")) {
        return false;
    }
    snprintf(map, sizeof map, "%u %u 1", user, user);
    if (!write_map(failure, "/proc/self/uid_map", map)) {
        return false;
    }
    snprintf(map, sizeof map, "%u %u 1", group, group);
    return write_map(failure, "/proc/self/gid_map", map);
}

/// Makes an empty root; the old one is at OLD_ROOT.
static bool make_root(struct failure *failure) {
    // What we mount is not seen outside; what others mount there (a home folder, on its first use) is still seen here.
    if (mount(NULL, "/", NULL, MS_REC | MS_SLAVE, NULL) != 0) {
        return failed(failure, "take over", "the mounts");
    }
    // Any folder would do to hold the new root until it is the root: this one is always there.
    const char *place = "/proc";
    if (mount("apus", place, "tmpfs", MS_NOSUID | MS_NODEV, "mode=0755") != 0) {
        return failed(failure, "mount", "a file system in memory");
    }
    if (chdir(place) != 0) {
        return failed(failure, "enter", "the file system in memory");
    }
    if (mkdir(&OLD_ROOT[1], 0700) != 0) {
        return failed(failure, "make", OLD_ROOT);
    }
    if (syscall(SYS_pivot_root, ".", &OLD_ROOT[1]) != 0) {
        return failed(failure, "change", "the root");
    }
    return chdir("/") == 0 ? true : failed(failure, "enter", "/");
}

/// A mount that even its owner cannot look at now: a server that is gone, somebody else's.
static bool is_out_of_reach(int number) { return number == EACCES || number == ENOTCONN || number == ESTALE; }

/// Makes one entry of the old root appear in the new one.
static bool take_over(struct failure *failure, const char *name) {
    char old[PATH_MAX], new[PATH_MAX], target[PATH_MAX];
    snprintf(old, sizeof old, OLD_ROOT "/%s", name);
    snprintf(new, sizeof new, "/%s", name);
    struct stat status;
    if (lstat(old, &status) != 0) {
        return is_out_of_reach(errno) ? true : failed(failure, "look at", "an entry of /");
    }
    if (S_ISLNK(status.st_mode)) {
        ssize_t length = readlink(old, target, sizeof target - 1);
        if (length < 0) {
            return failed(failure, "read", "a link in /");
        }
        target[length] = 0;
        return symlink(target, new) == 0 ? true : failed(failure, "make", "a link in /");
    }
    if (S_ISDIR(status.st_mode)) {
        if (mkdir(new, 0755) != 0) {
            return failed(failure, "make", "a folder in /");
        }
    } else {
        int descriptor = open(new, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
        if (descriptor < 0) {
            return failed(failure, "make", "a file in /");
        }
        close(descriptor);
    }
    if (mount(old, new, NULL, MS_BIND | MS_REC, NULL) != 0 && !is_out_of_reach(errno)) {
        return failed(failure, "bind", "an entry of /");
    }
    return true;
}

static bool take_over_all(struct failure *failure) {
    DIR *folder = opendir(OLD_ROOT);
    if (folder == NULL) {
        return failed(failure, "read", "/");
    }
    bool is_done = true;
    for (struct dirent *entry; is_done && (entry = readdir(folder)) != NULL;) {
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0) {
            continue;
        }
        if (strcmp(entry->d_name, &APUS_WORKSPACE_FOLDER[1]) == 0) {
            // Somebody's own folder, or a workspace around this one.
            errno = EEXIST;
            is_done = failed(failure, "make", APUS_WORKSPACE_FOLDER);
        } else {
            is_done = take_over(failure, entry->d_name);
        }
    }
    closedir(folder);
    return is_done;
}

static bool make_folders(struct failure *failure, const char *path) {
    char part[PATH_MAX];
    size_t length = strlen(path);
    if (length >= sizeof part) {
        errno = ENAMETOOLONG;
        return failed(failure, "make", path);
    }
    for (size_t end = 1; end <= length; end++) {
        if (path[end] == '/' || path[end] == 0) {
            memcpy(part, path, end);
            part[end] = 0;
            if (mkdir(part, 0755) != 0 && errno != EEXIST) {
                return failed(failure, "make", path);
            }
        }
    }
    return true;
}

static bool leave_old_root(struct failure *failure) {
    if (umount2(OLD_ROOT, MNT_DETACH) != 0) {
        return failed(failure, "leave", "the old root");
    }
    if (rmdir(OLD_ROOT) != 0) {
        return failed(failure, "remove", OLD_ROOT);
    }
    // `/` is no place to write in for most; here it is for nobody, or a file would be lost that was meant to stay.
    if (mount(NULL, "/", NULL, MS_REMOUNT | MS_BIND | MS_RDONLY | MS_NOSUID | MS_NODEV, NULL) != 0) {
        return failed(failure, "close", "/");
    }
    return true;
}

int apus_workspace_probe(void) {
    // The child says what was not allowed: an errno fits.
    pid_t child = fork();
    if (child == 0) {
        struct failure failure = {0};
        // All but the binding of the user's own folders: what stands in `/` may be of a kind that cannot be bound.
        bool is_possible = make_namespaces(&failure) && make_root(&failure) && take_over_all(&failure);
        _exit(is_possible ? 0 : failure.number != 0 ? failure.number & 255 : EPERM);
    }
    if (child < 0) {
        return errno;
    }
    int status = 0;
    while (waitpid(child, &status, 0) < 0) {
        if (errno != EINTR) {
            return errno;
        }
    }
    return WIFEXITED(status) ? WEXITSTATUS(status) : EPERM;
}

// MARK: what is asked for

struct request {
    char *const *binds; // triples: --bind SOURCE PLACE
    int bind_count;
    const char *directory;
    char *const *command; // ends with NULL
};

static bool parse(struct request *request, int count, char *const *arguments) {
    int index = 0;
    request->binds = arguments;
    while (index + 2 < count && strcmp(arguments[index], "--bind") == 0) {
        if (strncmp(arguments[index + 2], APUS_WORKSPACE_FOLDER "/", sizeof APUS_WORKSPACE_FOLDER) != 0) {
            return false;
        }
        request->bind_count += 1;
        index += 3;
    }
    if (index + 3 >= count || strcmp(arguments[index], "--directory") != 0 || strcmp(arguments[index + 2], "--") != 0) {
        return false;
    }
    request->directory = arguments[index + 1];
    request->command = arguments + index + 3;
    return true;
}

static bool make_workspace(struct failure *failure, const struct request *request) {
    if (!make_namespaces(failure) || !make_root(failure) || !take_over_all(failure)) {
        return false;
    }
    for (int index = 0; index < request->bind_count; index++) {
        const char *source = request->binds[3 * index + 1];
        const char *place = request->binds[3 * index + 2];
        if (!make_folders(failure, place)) {
            return false;
        }
        if (mount(source, place, NULL, MS_BIND | MS_REC, NULL) != 0) {
            return failed(failure, "bind", source);
        }
    }
    return leave_old_root(failure);
}

/// Without folders to bind, the command runs where its caller does, and is only watched over.
static bool enter(struct failure *failure, const struct request *request) {
    if (request->bind_count > 0 && !make_workspace(failure, request)) {
        return false;
    }
    return chdir(request->directory) == 0 ? true : failed(failure, "enter", request->directory);
}

/// The forked process: becomes the command.
static void become(const struct request *request, pid_t supervisor, const sigset_t *mask) {
    struct failure failure = {0};
    if (!enter(&failure, request)) {
        dprintf(STDERR_FILENO, "apus: the workspace cannot be entered: cannot %s %s: %s\n", failure.operation,
                failure.object, strerror(failure.number));
        _exit(status_no_workspace);
    }
    // Should the supervisor be killed: SwiftPM takes its children along when it gets this signal.
    // (It follows the thread that has forked, which waits for us and does nothing else.)
    prctl(PR_SET_PDEATHSIG, SIGINT);
    if (getppid() != supervisor) {
        _exit(status_no_workspace);
    }
    sigprocmask(SIG_SETMASK, mask, NULL);
    execvp(request->command[0], request->command);
    int number = errno;
    dprintf(STDERR_FILENO, "apus: cannot run %s: %s\n", request->command[0], strerror(number));
    _exit(number == ENOENT ? status_not_found : status_not_executable);
}

// MARK: supervising

static volatile pid_t command_process = 0;

/// Passes a signal on, unless the terminal has sent it to the command already.
static void pass_on(int signal_number, siginfo_t *information, void *context) {
    (void)context;
    if (information->si_code != SI_KERNEL && command_process > 0) {
        int saved = errno;
        kill(command_process, signal_number);
        errno = saved;
    }
}

static const int passed_signals[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2};

static void pass_signals_on(sigset_t *blocked) {
    sigemptyset(blocked);
    for (size_t index = 0; index < sizeof passed_signals / sizeof passed_signals[0]; index++) {
        int number = passed_signals[index];
        struct sigaction former;
        // Who started us with `nohup` wants the command to ignore it too.
        if (sigaction(number, NULL, &former) == 0 && former.sa_handler != SIG_IGN) {
            struct sigaction action = {.sa_sigaction = pass_on, .sa_flags = SA_SIGINFO | SA_RESTART};
            sigemptyset(&action.sa_mask);
            sigaction(number, &action, NULL);
            sigaddset(blocked, number);
        }
    }
}

/// Kills whoever is our child now. Says whether there was anybody.
static bool kill_children(void) {
    DIR *folder = opendir("/proc");
    if (folder == NULL) {
        return false;
    }
    bool is_anybody = false;
    for (struct dirent *entry; (entry = readdir(folder)) != NULL;) {
        char path[64], text[512];
        char *end = NULL;
        long process = strtol(entry->d_name, &end, 10);
        if (process <= 1 || *end != 0) {
            continue;
        }
        snprintf(path, sizeof path, "/proc/%ld/stat", process);
        int descriptor = open(path, O_RDONLY | O_CLOEXEC);
        if (descriptor < 0) {
            continue;
        }
        ssize_t length = read(descriptor, text, sizeof text - 1);
        close(descriptor);
        if (length <= 0) {
            continue;
        }
        text[length] = 0;
        // 123 (name) S 45: the name may hold anything, so that its end is the last parenthesis.
        const char *name_end = strrchr(text, ')');
        int parent = 0;
        if (name_end != NULL && sscanf(name_end, ") %*c %d", &parent) == 1 && parent == getpid()) {
            kill((pid_t)process, SIGKILL);
            is_anybody = true;
        }
    }
    closedir(folder);
    return is_anybody;
}

/// Kills all that the command has left, and what these leave in turn: orphans become our children.
static void end_descendants(void) {
    while (kill_children()) {
        while (waitpid(-1, NULL, 0) > 0) {
        }
    }
}

static int open_process(pid_t process) { return (int)syscall(SYS_pidfd_open, process, 0); }

static bool has_ended(int process_descriptor, int milliseconds) {
    struct pollfd item = {.fd = process_descriptor, .events = POLLIN};
    int count;
    do {
        count = poll(&item, 1, milliseconds);
    } while (count < 0 && errno == EINTR);
    return count != 0;
}

/// Waits until the command or the process that wants it has ended. Says whether the command is no longer wanted.
/// On kernels without process descriptors (before 5.3) only the command is waited for.
static bool wait_for_either(int command, int caller) {
    if (command < 0 || caller < 0) {
        return false;
    }
    struct pollfd items[2] = {{.fd = command, .events = POLLIN}, {.fd = caller, .events = POLLIN}};
    int count;
    do {
        count = poll(items, 2, -1);
    } while (count < 0 && errno == EINTR);
    return count > 0 && items[0].revents == 0;
}

static int end_like(int status) {
    if (WIFEXITED(status)) {
        return WEXITSTATUS(status);
    }
    int number = WTERMSIG(status);
    // Our caller sees the same end; one dump of the memory, the command's own, is enough.
    setrlimit(RLIMIT_CORE, &(struct rlimit){0, 0});
    signal(number, SIG_DFL);
    sigset_t only;
    sigemptyset(&only);
    sigaddset(&only, number);
    sigprocmask(SIG_UNBLOCK, &only, NULL);
    kill(getpid(), number);
    return 128 + number;
}

int apus_workspace_run(int skipped, int count, char *const *arguments) {
    struct request request = {0};
    if (skipped > count || !parse(&request, count - skipped, arguments + skipped)) {
        dprintf(STDERR_FILENO, "apus: a workspace needs [--bind SOURCE PLACE]... --directory FOLDER -- PROGRAM\n");
        return 64;
    }
    int caller = open_process(getppid());
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    // Compilers believe PWD when it is the folder they are in, by whatever path: the user's own would get into the program
    // and into the cache's keys.
    setenv("PWD", request.directory, 1);
    unsetenv("OLDPWD");

    sigset_t passed, mask;
    pass_signals_on(&passed);
    sigprocmask(SIG_BLOCK, &passed, &mask);
    pid_t supervisor = getpid();
    pid_t process = fork();
    if (process == 0) {
        become(&request, supervisor, &mask);
    }
    if (process < 0) {
        dprintf(STDERR_FILENO, "apus: cannot start another process: %s\n", strerror(errno));
        return status_no_workspace;
    }
    command_process = process;
    int command = open_process(process);
    sigprocmask(SIG_SETMASK, &mask, NULL);

    bool is_unwanted = wait_for_either(command, caller);
    if (is_unwanted) {
        kill(process, SIGINT);
        if (!has_ended(command, grace_milliseconds)) {
            kill(process, SIGKILL);
        }
    }
    int status = 0;
    while (waitpid(process, &status, 0) < 0 && errno == EINTR) {
    }
    command_process = 0;
    if (is_unwanted || WIFSIGNALED(status)) {
        end_descendants();
    }
    return end_like(status);
}

#else

#include <errno.h>

int apus_workspace_probe(void) { return ENOSYS; }

int apus_workspace_run(int skipped, int count, char *const *arguments) {
    (void)skipped, (void)count, (void)arguments;
    return 71;
}

#endif
