// A connection that its client meant for an address, not for a proxy. getsockname was that address: a
// synthetic one stands for a name, any other is a literal that the policy may name.
#include "supervisor/egress/egress.h"

#include "base/clock.h"
#include "supervisor/egress/inference.h"
#include "supervisor/egress/names.h"

static bool target_of(struct conn *c, struct target *t)
{
    *t = (struct target){.port = c->pair.local_port};
    if (names_host(c->e->names, &c->pair.local, t->host, &t->host_n))
        return true;
    if (names_in_pool(&c->pair.local))
        return false; // never handed out: a guess
    t->literal = true;
    t->ip = c->pair.local;
    t->host_n = ip_format(&t->ip, t->host);
    return true;
}

void captured_serve(struct conn *c)
{
    struct target t;
    struct err e;
    if (!target_of(c, &t)) {
        report_failure(c, NULL, "transparent_tcp_mapping_missing", STR("an address that stands for no name"));
        return;
    }
    if (str_eq(target_host(&t), INFERENCE_HOST) && t.port == 443) {
        inference_serve(c, STR(""));
        return;
    }
    CLEANUP(admission_done) struct admission a = {};
    struct denial deny;
    if (admit(c, &t, "transparent-tcp", STR("CONNECT"), STR(""), &a, &deny, &e) != ERR_OK) {
        report_denial(c, &t, STR("CONNECT"), STR(""), &deny);
        return;
    }
    struct wait w = conn_wait(c, deadline_in_ms(DIAL_TIMEOUT_MS));
    struct stream *upstream = NULL;
    size_t used;
    if (stream_dial(a.addrs, a.addrs_n, t.port, &w, &upstream, &used, &e) != ERR_OK) {
        report_failure(c, &t, "upstream unreachable", str_of(e.msg));
        return;
    }
    report_connection(c, &t, &a, a.d.inspected);
    tunnel_serve(c, &t, &a, upstream, STR(""));
}
