// isolate/identity_test.h: clients and executables for the tests of who is calling.
#pragma once
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fd.h"
#include "isolate/identity.h"

static inline struct ip ip_of(const struct sockaddr_in *in)
{
    struct ip ip = {.family = 4};
    memcpy(ip.b, &in->sin_addr, 4);
    return ip;
}

static inline bool pair_of(int fd, struct sock_pair *ret)
{
    struct sockaddr_in peer = {}, local = {};
    socklen_t n = sizeof(peer), m = sizeof(local);
    if (getpeername(fd, (struct sockaddr *)&peer, &n) != 0 ||
        getsockname(fd, (struct sockaddr *)&local, &m) != 0)
        return false;
    *ret = (struct sock_pair){ip_of(&peer), ip_of(&local), ntohs(peer.sin_port), ntohs(local.sin_port)};
    return true;
}

static inline enum err_code identify(int listener, struct identity_table *t, struct arena *a,
                                     struct identity *id, struct err *e)
{
    struct sock_pair pair;
    int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
    enum err_code r = ERR_INTERNAL;
    if (fd >= 0 && pair_of(fd, &pair))
        r = identity_of(t, &pair, a, id, e);
    if (fd >= 0)
        (void)close(fd);
    return r;
}

struct place {
    int listener;
    struct sockaddr_in to;
    struct identity_table *t;
    char self[4096], folder[32], a[64], b[64], link[64], script[64];
};

static inline bool copy_self(const char *self, const char *path, const char *more)
{
    CLEANUP(buf_done) struct buf b = {};
    struct err e;
    if (file_read(self, 256 * MIB, &b, &e) != ERR_OK)
        return false;
    CLEANUP(fd_close) int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0755);
    return fd >= 0 && fd_write_all(fd, buf_str(&b), &e) == ERR_OK &&
           fd_write_all(fd, str_of(more), &e) == ERR_OK;
}

static inline bool place_make(struct place *p)
{
    ssize_t n = readlink("/proc/self/exe", p->self, sizeof(p->self) - 1);
    (void)snprintf(p->folder, sizeof(p->folder), "/tmp/identity-XXXXXX");
    if (n <= 0 || !mkdtemp(p->folder))
        return false;
    (void)snprintf(p->a, sizeof(p->a), "%s/a", p->folder);
    (void)snprintf(p->b, sizeof(p->b), "%s/b", p->folder);
    (void)snprintf(p->link, sizeof(p->link), "%s/link", p->folder);
    (void)snprintf(p->script, sizeof(p->script), "%s/script", p->folder);
    char text[100], port[8];
    struct err e;
    (void)snprintf(text, sizeof(text), "#!%s hold\n", p->a);
    (void)snprintf(port, sizeof(port), "%u", ntohs(p->to.sin_port));
    CLEANUP(fd_close) int fd = open(p->script, O_WRONLY | O_CREAT | O_CLOEXEC, 0755);
    return copy_self(p->self, p->a, "a") && copy_self(p->self, p->b, "b") && symlink(p->a, p->link) == 0 &&
           fd >= 0 && fd_write_all(fd, str_of(text), &e) == ERR_OK && setenv("PORT", port, 1) == 0;
}

static inline void place_remove(const struct place *p)
{
    (void)unlink(p->a);
    (void)unlink(p->b);
    (void)unlink(p->link);
    (void)unlink(p->script);
    (void)rmdir(p->folder);
}

// What the copies of this program do, by their first argument.
static inline int role(char **argv)
{
    uint64_t port = 0, fd = 0;
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_addr = {.s_addr = htonl(INADDR_LOOPBACK)}};
    if (strcmp(argv[1], "hold") == 0) { // connects
        if (!str_u64(str_of(getenv("PORT")), UINT16_MAX, &port))
            return 1;
        to.sin_port = htons((uint16_t)port);
        int s = socket(AF_INET, SOCK_STREAM, 0);
        if (connect(s, (const struct sockaddr *)&to, sizeof(to)) != 0)
            return 1;
    } else if (strcmp(argv[1], "flip") == 0) { // becomes the other program, again and again
        (void)execl(argv[3], argv[3], "flip", argv[3], argv[2], NULL);
        return 1;
    } else if (strcmp(argv[1], "keep") != 0 || !str_u64(str_of(argv[2]), INT32_MAX, &fd) ||
               write((int)fd, "k", 1) != 1) {
        return 1;
    }
    for (;;)
        (void)pause();
}

static inline pid_t start(const char *path, const char *what, const char *x, const char *y)
{
    pid_t pid = fork();
    if (pid != 0)
        return pid;
    (void)execl(path, path, what, x, y, NULL);
    _exit(1);
}

static inline void stop(pid_t pid)
{
    (void)kill(pid, SIGKILL);
    (void)waitpid(pid, NULL, 0);
}

static inline int connected(const struct place *p)
{
    int fd = socket(AF_INET, SOCK_STREAM, 0); // inherited on exec
    return connect(fd, (const struct sockaddr *)&p->to, sizeof(p->to)) == 0 ? fd : -1;
}
