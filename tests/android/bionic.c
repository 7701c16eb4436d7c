/* What bionic has and glibc has not, or has with another meaning, for the object code of x86_64-linux-android in a glibc
 * process: the names begin with `b` where bionic.py has renamed what glibc has under the same one. It stands for code that
 * runs in bionic only as far as the two agree. */
#define _GNU_SOURCE
#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int *__errno(void) { return &errno; }

/* No Android, so no property of it. */
int __system_property_get(const char *name, char *value) {
    (void)name;
    value[0] = 0;
    return 0;
}

int __android_log_write(int priority, const char *tag, const char *text) {
    return fprintf(stderr, "%c/%s: %s\n", "??VDIWEF"[priority & 7], tag, text);
}

int __android_log_buf_write(int buffer, int priority, const char *tag, const char *text) {
    (void)buffer;
    return __android_log_write(priority, tag, text);
}

/* POSIX's, where glibc's name stands for GNU's. */
int __xpg_strerror_r(int number, char *buffer, size_t size);
int btrerror_r(int number, char *buffer, size_t size) { return __xpg_strerror_r(number, buffer, size); }

/* Names without a version mean glibc's oldest: of these, functions that take other arguments. */
char *bealpath(const char *path, char *resolved) { return realpath(path, resolved); }
int bched_getaffinity(pid_t pid, size_t size, cpu_set_t *set) { return sched_getaffinity(pid, size, set); }

/* <bits/sysconf.h> numbers them otherwise. */
long bysconf(int name) {
    switch (name) {
    case 0x27:
    case 0x28:
        return sysconf(_SC_PAGESIZE);
    case 0x60:
        return sysconf(_SC_NPROCESSORS_CONF);
    case 0x61:
        return sysconf(_SC_NPROCESSORS_ONLN);
    default:
        fprintf(stderr, "bionic.c: sysconf(%d) is not known\n", name);
        errno = EINVAL;
        return -1;
    }
}

/* <bits/signal_types.h> of 64-bit systems: 64 signals, and the flags first. */
struct bionic_sigaction {
    int flags;
    void (*handler)(int, siginfo_t *, void *);
    unsigned long mask;
    void (*restorer)(void);
};

int bigemptyset(unsigned long *set) {
    *set = 0;
    return 0;
}

int bigaction(int signal, const struct bionic_sigaction *action, struct bionic_sigaction *previous) {
    struct sigaction own = {0}, old = {0};
    if (action) {
        own.sa_flags = action->flags;
        own.sa_sigaction = action->handler;
        memcpy(&own.sa_mask, &action->mask, sizeof action->mask);
    }
    int result = sigaction(signal, action ? &own : NULL, previous ? &old : NULL);
    if (previous) {
        previous->flags = old.sa_flags;
        previous->handler = old.sa_sigaction;
        memcpy(&previous->mask, &old.sa_mask, sizeof previous->mask);
        previous->restorer = NULL;
    }
    return result;
}
