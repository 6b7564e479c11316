#include "supervisor/egress/sink.h"

#include <pthread.h>
#include <stdatomic.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"

enum { LINE_MAX_BYTES = 16 * KIB };

struct event_sink {
    int fd;
    bool json, quiet;
    struct event_host host;
    atomic_uint_fast64_t dropped;
};

enum err_code sink_new(int fd, bool json, bool quiet, const struct event_host *host, struct event_sink **ret,
                       struct err *e)
{
    struct event_sink *s = calloc(1, sizeof(*s));
    if (!s)
        return err_set(e, ERR_LIMIT, "no memory for the event sink");
    *s = (struct event_sink){.fd = fd, .json = json, .quiet = quiet, .host = *host};
    *ret = s;
    return ERR_OK;
}

void sink_free(struct event_sink *s)
{
    if (!s)
        return;
    (void)close(s->fd);
    free(s);
}

static bool put(struct event_sink *s, const struct buf *b)
{
    return !b->full && send(s->fd, b->p, b->n, MSG_DONTWAIT | MSG_NOSIGNAL) == (ssize_t)b->n;
}

static void report_dropped(struct event_sink *s, uint64_t time_ms)
{
    uint64_t n = atomic_exchange(&s->dropped, 0);
    if (n == 0)
        return;
    char text[80];
    (void)snprintf(text, sizeof(text), "%llu events were dropped: the log did not keep up",
                   (unsigned long long)n);
    const struct event lost = {.class = EVENT_CONFIG,
                               .severity = EVENT_MEDIUM,
                               .state = STR("degraded"),
                               .message = str_of(text)};
    CLEANUP(buf_done) struct buf line;
    buf_init(&line, LINE_MAX_BYTES);
    event_line(&lost, time_ms, &line);
    if (!put(s, &line))
        atomic_fetch_add(&s->dropped, n);
}

void sink_event(struct event_sink *s, const struct event *e)
{
    if (s->quiet && e->severity <= EVENT_LOW)
        return;
    uint64_t now = (uint64_t)clock_realtime_ms();
    report_dropped(s, now);
    CLEANUP(buf_done) struct buf line;
    buf_init(&line, LINE_MAX_BYTES);
    event_line(e, now, &line);
    bool sent = put(s, &line);
    if (s->json) {
        buf_clear(&line);
        event_json(e, &s->host, now, &line);
        sent = put(s, &line) && sent;
    }
    if (!sent)
        atomic_fetch_add(&s->dropped, 1);
}
