// supervisor/egress/sink.h: where the egress's events go: one datagram each to the supervisor, which has the
// files.
#pragma once
#include "supervisor/events/event.h"

struct event_sink;
// `fd` is a SOCK_SEQPACKET socket and is owned from here. `json`: send the OCSF object too. `quiet`: nobody
// reads what is informational or low, so it is not even printed.
enum err_code sink_new(int fd, bool json, bool quiet, const struct event_host *host, struct event_sink **ret,
                       struct err *e) NONNULL;
void sink_free(struct event_sink *s);

// Never blocks: when the supervisor does not keep up the event is dropped and counted, and the next one that
// goes through is preceded by a line that says how many are missing.
void sink_event(struct event_sink *s, const struct event *e) NONNULL;
