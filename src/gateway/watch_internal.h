// gateway/watch_internal.h: what the files of watch share, and logs.c. Private to them.
#pragma once
#include <pthread.h>
#include <stdatomic.h>

#include "gateway/services.h"
#include "gateway/watch.h"

enum {
    BUSES = 1024,         // slots of the table
    BUS_ID_MAX = 63,      // bytes of a sandbox's id: [A-Za-z0-9-]
    BUS_UNWRITTEN = 4096, // lines that wait for the file; then they are only in memory; ours
    FORGOTTEN = 256,      // sandboxes whose late lines are dropped; ours
    ITEM_MAX = 64 * KIB,  // of a packed line: the message, target, level and source at their longest
};

// A packed SandboxLogLine without its sandbox_id, or a PlatformEvent. Never changed; shared by rings, queues
// and the file.
struct item {
    atomic_int refs;
    bool is_event;
    size_t n;
    char bytes[];
};
struct item *item_ref(struct item *x) NONNULL;
void item_unref(struct item *x); // NULL is fine

struct ring {
    struct item **v;
    size_t cap, head, n, bytes, max;
};

struct watcher;

// What is known of one sandbox. Guarded by watch.mu; it is freed when it is forgotten and nobody pins it.
struct bus {
    struct bus *next; // in its slot
    char id[BUS_ID_MAX + 1];
    struct ring lines, events;
    struct watcher *watchers;
    unsigned pins;
    bool forgotten;
    bool loaded; // its file was read: what is in it comes before `lines`
    struct ring unwritten;
    bool is_dirty;
    struct bus *dirty_next;
};

// A call that does not end by itself. The loop's.
struct watch_call {
    struct watch_call *next, **at;
    void (*end)(struct watch_call *c, const struct err *why); // takes it out
};

struct watch {
    pthread_mutex_t mu;
    struct bus *slots[BUSES];
    char forgotten[FORGOTTEN][BUS_ID_MAX + 1];
    size_t forgotten_at;
    struct watcher *ready; // those whose turn it is, on the loop
    bool posted;           // and the loop knows
    struct rpc_server *server;
    uv_loop_t *loop;
    struct watch_call *calls; // the loop's
    bool ending;              // ditto
    // Files: one thread writes them; `io` is held over each use of one, and taken before `mu`.
    bool keeps, stopping;
    char dir[4000];
    struct log *log;
    pthread_t writer;
    pthread_mutex_t io;
    pthread_cond_t work;
    struct bus *dirty;
};

struct node {
    struct node *next;
    struct item *item;
    bool replay; // from before the watcher came
};

// One WatchSandbox call. `mu` guards what is marked; the rest is the loop's.
struct watcher {
    struct watch_call call; // first
    struct watch *w;
    struct rpc_request *r;
    const struct services *services;
    struct bus *bus;
    struct watcher *next;            // of the bus; mu
    struct watcher *ready_next;      // mu
    bool is_ready;                   // mu: in the list
    bool changed;                    // mu: its record was
    bool over;                       // mu: the bus is forgotten
    bool follow_logs, follow_events; // mu: once subscribed
    struct node *first, **last;      // mu
    size_t live_n;                   // mu: of them not replayed
    uint64_t lost;                   // mu: messages that found no room
    struct arena arena;              // the request
    const Openshell__V1__WatchSandboxRequest *req;
    struct watch_filter filter;
    uv_work_t work;
    bool reading, begun, blocked, closed;
    struct arena record_arena; // of the read that is under way
    Openshell__V1__Sandbox *record;
    enum err_code result;
    struct err err;
};

// On the loop. False: the gateway is ending, and `call` is not begun.
bool watch_call_add(struct watch *w, struct watch_call *c) NONNULL;
void watch_call_remove(struct watch_call *c) NONNULL; // twice is fine

// mu is held.
struct bus *bus_find(struct watch *w, struct str id, bool make);
void bus_unpin(struct watch *w, struct bus *b);                           // may free it
bool ring_push(struct ring *r, struct item *x, size_t bytes_max) NONNULL; // takes a share; drops the oldest
bool ring_unshift(struct ring *r, struct item *x, size_t bytes_max) NONNULL; // false: it is full
void ring_clear(struct ring *r) NONNULL;
void watcher_mark(struct watcher *x) NONNULL; // it is its turn; then watch_wake(), without mu
struct item *item_new(const ProtobufCMessage *m, bool is_event) NONNULL; // NULL: no memory

// mu is not held.
void watch_wake(struct watch *w) NONNULL;
void watch_turn(void *arg); // of a struct watch, on the loop

// watch_file.c. Worker: reads what is in the file, once. io and mu are not held; the bus is pinned.
void file_load(struct watch *w, struct bus *b) NONNULL;
void file_mark(struct watch *w, struct bus *b) NONNULL; // mu is held: there is something to write
void file_stop(struct watch *w) NONNULL;                // writes the rest and ends the thread
