// A container engine's driver against a real engine: driver KIND SOCKET IMAGE PROGRAM DIR.
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "gateway/compute/docker.h"
#include "tap.h"

typedef Openshell__Compute__V1__DriverSandbox sandbox;

enum { WAIT_MS = 5'000, MANY = 10 };

static atomic_int told_ready, told_deleted;

static char *text(const char *s)
{
    return (char *)(uintptr_t)s;
}

static void on_changed(void *ctx, const sandbox *now)
{
    (void)ctx;
    if (strcmp(now->status->conditions[0]->status, "True") == 0)
        atomic_fetch_add(&told_ready, 1);
}

static void on_deleted(void *ctx, struct str id)
{
    (void)ctx, (void)id;
    atomic_fetch_add(&told_deleted, 1);
}

static struct made {
    sandbox s;
    Openshell__Compute__V1__DriverSandboxSpec spec;
    Openshell__Compute__V1__DriverSandboxTemplate t;
    char id[40], name[20];
} many[MANY];

static sandbox *make(struct made *m, int n, const char *image)
{
    openshell__compute__v1__driver_sandbox__init(&m->s);
    openshell__compute__v1__driver_sandbox_spec__init(&m->spec);
    openshell__compute__v1__driver_sandbox_template__init(&m->t);
    (void)snprintf(m->id, sizeof(m->id), "%d-%d", (int)getpid(), n);
    (void)snprintf(m->name, sizeof(m->name), "s%d", n);
    m->s.id = m->id;
    m->s.name = m->name;
    m->s.workspace = text("default");
    m->s.spec = &m->spec;
    m->spec.template_ = &m->t;
    m->spec.sandbox_token = text("the-token\n");
    m->t.image = text(image);
    return &m->s;
}

// Waits until Ready has this status, and this reason where it is not NULL; the message in `message`.
static bool becomes(struct driver *d, const char *id, const char *status, const char *reason, char *message,
                    size_t size)
{
    int64_t until = deadline_in_ms(WAIT_MS);
    message[0] = '\0';
    do {
        sandbox *s = NULL;
        struct err e = {};
        CLEANUP(arena_done) struct arena a;
        arena_init(&a, 8 * MIB);
        if (d->ops->get(d, str_of(id), &a, &s, &e) == ERR_OK) {
            const Openshell__Compute__V1__DriverCondition *c = s->status->conditions[0];
            (void)snprintf(message, size, "%s %s %s", c->status, c->reason, c->message);
            if (strcmp(c->status, status) == 0 && (!reason || strcmp(c->reason, reason) == 0))
                return true;
        } else {
            (void)snprintf(message, size, "%s", e.msg);
        }
        (void)nanosleep(&(struct timespec){.tv_nsec = 20'000'000}, NULL);
    } while (!deadline_passed(until));
    return false;
}

static bool wait_for(atomic_int *n, int want)
{
    for (int i = 0; i < WAIT_MS / 20 && atomic_load(n) < want; i++)
        (void)nanosleep(&(struct timespec){.tv_nsec = 20'000'000}, NULL);
    return atomic_load(n) >= want;
}

static void check(bool ok, const char *note, const char *rule)
{
    if (!tap_ok(ok, "%s", rule))
        tap_note("%s", note);
}

static void test_one(struct driver *d, const char *image, const char *dir)
{
    char m[600], path[4096];
    struct made one = {};
    struct err e = {};
    bool was = false;
    sandbox *s = make(&one, 1, image);
    check(d->ops->create(d, s, &e) == ERR_OK, e.msg, "a sandbox is taken");
    check(becomes(d, s->id, "True", NULL, m, sizeof(m)), m, "and its container runs");
    (void)snprintf(path, sizeof(path), "%s/%s.jwt", dir, s->id);
    struct stat st = {};
    check(stat(path, &st) == 0 && (st.st_mode & 0777) == 0600, path, "its token is its owner's alone");
    check(wait_for(&told_ready, 1), "", "which is told to whoever watches");
    check(d->ops->stop(d, str_of(s->id), str_of(s->name), &e) == ERR_OK, e.msg, "it is stopped");
    check(becomes(d, s->id, "False", "ContainerExited", m, sizeof(m)), m, "and says so");
    check(d->ops->stop(d, str_of(s->id), str_of(s->name), &e) == ERR_OK, e.msg, "stopping twice is no error");
    check(d->ops->start(d, s, &e) == ERR_OK, e.msg, "it is started again");
    check(becomes(d, s->id, "True", NULL, m, sizeof(m)), m, "and runs");
    check(d->ops->remove(d, str_of(s->id), str_of(s->name), &was, &e) == ERR_OK && was, e.msg,
          "it is removed");
    check(wait_for(&told_deleted, 1), "", "which is told to whoever watches");
    check(stat(path, &st) != 0, path, "its token is gone");
    CLEANUP(arena_done) struct arena a;
    arena_init(&a, MIB);
    sandbox *gone = NULL;
    check(d->ops->get(d, str_of(s->id), &a, &gone, &e) == ERR_NOT_FOUND, e.msg, "there is no such sandbox");
    check(d->ops->remove(d, str_of(s->id), str_of(s->name), &was, &e) == ERR_OK && !was, e.msg,
          "removing what is not there is no error, and said");
    check(d->ops->start(d, s, &e) == ERR_NOT_FOUND, e.msg, "starting it is one");
}

static void test_failures(struct driver *d, const char *image)
{
    char m[600];
    struct made one = {};
    struct err e = {};
    bool was = false;
    sandbox *s = make(&one, 2, "no-such-image:1");
    check(d->ops->create(d, s, &e) == ERR_OK, e.msg, "a sandbox of an image that is not there is taken");
    check(becomes(d, s->id, "False", "ImagePullFailed", m, sizeof(m)) && strstr(m, "no-such-image:1"), m,
          "and fails with the image's name");
    check(d->ops->remove(d, str_of(s->id), str_of(s->name), &was, &e) == ERR_OK && was, e.msg,
          "it can be removed");
    s = make(&one, 3, image);
    one.spec.log_level = text("error");
    check(d->ops->create(d, s, &e) == ERR_OK, e.msg, "a sandbox that ends at once is taken");
    check(becomes(d, s->id, "False", "ContainerExited", m, sizeof(m)) && strstr(m, "status 7") &&
              strstr(m, "the last words"),
          m, "its state has its status and its last words");
    (void)d->ops->remove(d, str_of(s->id), str_of(s->name), &was, &e);
}

static void test_many(struct driver *d, const char *image)
{
    char m[600];
    struct err e = {};
    bool ok = true, was = false;
    for (int i = 0; i < MANY; i++)
        ok = d->ops->create(d, make(&many[i], 10 + i, image), &e) == ERR_OK && ok;
    for (int i = 0; i < MANY; i++)
        ok = becomes(d, many[i].id, "True", NULL, m, sizeof(m)) && ok;
    check(ok, m, "ten at once");
    CLEANUP(arena_done) struct arena a;
    arena_init(&a, 8 * MIB);
    sandbox **v = NULL;
    size_t n = 0;
    check(d->ops->list(d, &a, &v, &n, &e) == ERR_OK && n == MANY, e.msg, "are listed, each once");
    ok = true;
    for (int i = 0; i < MANY; i++)
        ok = d->ops->remove(d, str_of(many[i].id), str_of(many[i].name), &was, &e) == ERR_OK && was && ok;
    check(ok, e.msg, "and removed");
    // Removed while it is on its way: nothing may stay behind, whatever step it was at.
    for (int i = 0; i < MANY; i++) {
        ok = d->ops->create(d, make(&many[i], 30 + i, image), &e) == ERR_OK && ok;
        (void)nanosleep(&(struct timespec){.tv_nsec = i * 15'000'000}, NULL);
        ok = d->ops->remove(d, str_of(many[i].id), str_of(many[i].name), &was, &e) == ERR_OK && was && ok;
    }
    check(ok, e.msg, "a sandbox may be removed at any moment of its start");
    check(d->ops->list(d, &a, &v, &n, &e) == ERR_OK && n == 0, e.msg, "and leaves nothing");
}

int main(int argc, char **argv)
{
    if (argc != 6)
        return 2;
    struct log log = {.fd = STDERR_FILENO, .level = LOG_LEVEL_WARNING};
    struct err e = {};
    const struct driver_env env = {.program = argv[4], .state_dir = argv[5], .log = &log};
    const struct docker_config config = {.podman = strcmp(argv[1], "podman") == 0,
                                         .socket = argv[2],
                                         .default_image = argv[3],
                                         .pull = PULL_NEVER,
                                         .namespace = "test",
                                         .socket_dir = argv[5],
                                         .pids = 100};
    struct driver *d = NULL;
    const struct driver_events events = {.changed = on_changed, .deleted = on_deleted};
    check(docker_new(&config, &env, &d, &e) == ERR_OK, e.msg, "the engine answers");
    if (!d)
        return tap_done();
    d->ops->watch(d, &events);
    test_one(d, argv[3], argv[5]);
    test_failures(d, argv[3]);
    test_many(d, argv[3]);
    d->ops->free(d);
    return tap_done();
}
