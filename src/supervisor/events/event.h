// supervisor/events/event.h: one event for every decision, with the facts that it was taken on (reference 8).
//
// The struct is filled on the stack of whoever decided and printed at once, as the shorthand line and, where
// asked, as an OCSF 1.8.0 object. Strings are borrowed. Secrets and query strings have no field here, so they
// cannot get out.
#pragma once
#include "base/buf.h"
#include "base/base.h"

enum event_class { EVENT_NET, EVENT_HTTP, EVENT_FINDING, EVENT_CONFIG, EVENT_LIFECYCLE, EVENT_PROCESS };
enum event_severity { EVENT_INFO = 1, EVENT_LOW, EVENT_MEDIUM, EVENT_HIGH, EVENT_CRITICAL, EVENT_FATAL };
enum event_action { EVENT_NO_ACTION, EVENT_ALLOWED, EVENT_DENIED }; // OCSF action 1, 2
enum event_activity { // OCSF ids of the network class; others map from it
    EVENT_OPEN = 1,
    EVENT_CLOSE,
    EVENT_RESET,
    EVENT_FAIL,
    EVENT_REFUSE,
    EVENT_TRAFFIC,
    EVENT_LISTEN,
    EVENT_OTHER = 99,
};

struct event {
    enum event_class class;
    enum event_activity activity; // NET
    enum event_severity severity;
    enum event_action action;
    struct str exe; // actor
    uint32_t pid;
    struct str host; // destination
    uint16_t port;
    struct str method, path;   // HTTP: path without query, canonical
    unsigned status;           // HTTP: of the response, 0: none
    struct str policy, engine; // shown as [policy:P engine:E]; empty policy prints "-" where an engine is set
    struct str rule;           // key path of the deciding rule
    struct str reason;         // status_detail
    struct str message;
    struct str state;                 // CONFIG: custom label ("loaded", "failed", …)
    struct str title;                 // FINDING
    struct str uid;                   // FINDING
    uint64_t generation, duration_ns; // unmapped fields of the JSON form
    int exit_code;                    // PROCESS
    struct str process;               // PROCESS: name
};

struct event_host { // the same in every event of a process
    struct str sandbox_id, sandbox_name, hostname, image;
};

// "CLASS:ACTIVITY [SEV] …": grammar of reference 8.3, without time stamp and newline.
void event_shorthand(const struct event *e, struct buf *out) NONNULL;
// One JSON object without newline; time in ms since the epoch.
void event_json(const struct event *e, const struct event_host *h, uint64_t time_ms, struct buf *out) NONNULL;
// "YYYY-MM-DDTHH:MM:SS.mmmZ OCSF <shorthand>\n"
void event_line(const struct event *e, uint64_t time_ms, struct buf *out) NONNULL;
