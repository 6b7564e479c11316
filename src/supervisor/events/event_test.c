#include "supervisor/events/event.h"

#include <jansson.h>

#include "tap.h"

static const struct {
    struct event e;
    const char *want, *rule;
} rows[] = {
    {{.class = EVENT_NET,
      .activity = EVENT_OPEN,
      .severity = EVENT_INFO,
      .action = EVENT_ALLOWED,
      .exe = STR_INIT("/usr/bin/curl"),
      .pid = 42,
      .host = STR_INIT("a.test"),
      .port = 443,
      .policy = STR_INIT("gh"),
      .engine = STR_INIT("opa"),
      .message = STR_INIT("CONNECT allowed a.test:443")},
     "NET:OPEN [INFO] ALLOWED /usr/bin/curl(42) -> a.test:443 [policy:gh engine:opa]",
     "an allowed connection"},
    {{.class = EVENT_NET,
      .activity = EVENT_OPEN,
      .severity = EVENT_MEDIUM,
      .action = EVENT_DENIED,
      .exe = STR_INIT("/usr/bin/curl"),
      .pid = 42,
      .host = STR_INIT("2001:db8::1"),
      .port = 80,
      .engine = STR_INIT("opa"),
      .reason = STR_INIT("no\nsuch")},
     "NET:OPEN [MED] DENIED /usr/bin/curl(42) -> [2001:db8::1]:80 [policy:- engine:opa] [reason:no?such]",
     "a denied one, its reason on the same line"},
    {{.class = EVENT_HTTP,
      .severity = EVENT_INFO,
      .action = EVENT_ALLOWED,
      .exe = STR_INIT("/bin/x"),
      .pid = 7,
      .host = STR_INIT("a.test"),
      .port = 443,
      .method = STR_INIT("GET"),
      .path = STR_INIT("/zen"),
      .policy = STR_INIT("g h]"),
      .engine = STR_INIT("l7"),
      .rule = STR_INIT("network_policies.gh.endpoints[0].rules[1]")},
     "HTTP:GET [INFO] ALLOWED /bin/x(7) -> GET https://a.test/zen [policy:g\\u{20}h\\] engine:l7] "
     "[rule:network_policies.gh.endpoints[0].rules[1]]",
     "a request; a name cannot end the bracket"},
    {{.class = EVENT_HTTP,
      .severity = EVENT_MEDIUM,
      .action = EVENT_DENIED,
      .host = STR_INIT("a.test"),
      .port = 8080,
      .method = STR_INIT("POST"),
      .path = STR_INIT("/"),
      .engine = STR_INIT("l7"),
      .reason = STR_INIT("why")},
     "HTTP:POST [MED] DENIED POST http://a.test:8080/ [policy:- engine:l7] [reason:why]",
     "a port that is not the scheme's"},
    {{.class = EVENT_NET,
      .activity = EVENT_FAIL,
      .severity = EVENT_LOW,
      .message = STR_INIT("TLS relay error"),
      .reason = STR_INIT("certificate")},
     "NET:FAIL [LOW] [reason:certificate] [msg:TLS relay error]",
     "a failure without a target"},
    {{.class = EVENT_FINDING,
      .severity = EVENT_HIGH,
      .action = EVENT_DENIED,
      .title = STR_INIT("a \"b\""),
      .uid = STR_INIT("x.y")},
     "FINDING:BLOCKED [HIGH] \"a \\\"b\\\"\" [type:x.y]",
     "a finding"},
    {{.class = EVENT_CONFIG,
      .severity = EVENT_INFO,
      .state = STR_INIT("loaded"),
      .message = STR_INIT("policy 3")},
     "CONFIG:LOADED [INFO] policy 3",
     "a change of configuration"},
    {{.class = EVENT_PROCESS,
      .severity = EVENT_INFO,
      .activity = EVENT_CLOSE,
      .process = STR_INIT("git"),
      .pid = 9,
      .exit_code = 3},
     "PROC:TERMINATE [INFO] git(9) [exit:3]",
     "a process that ended"},
};

static void test_json(const struct event *e, const char *rule)
{
    const struct event_host h = {.sandbox_id = STR("s-1"),
                                 .sandbox_name = STR("dev"),
                                 .hostname = STR("box")};
    CLEANUP(buf_done) struct buf b;
    buf_init(&b, 64 * KIB);
    event_json(e, &h, 1767604001120, &b);
    json_t *root = json_loadb(b.p, b.n, JSON_REJECT_DUPLICATES, NULL);
    json_t *type = json_object_get(root, "type_uid"), *class = json_object_get(root, "class_uid");
    json_t *activity = json_object_get(root, "activity_id");
    bool ok = root &&
              json_integer_value(type) == json_integer_value(class) * 100 + json_integer_value(activity);
    if (!tap_ok(ok, "the OCSF object of %s is JSON without repeats, its type made of class and activity",
                rule))
        tap_note("%s", b.p);
    json_decref(root);
}

int main(void)
{
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        CLEANUP(buf_done) struct buf b;
        buf_init(&b, 4 * KIB);
        event_shorthand(&rows[i].e, &b);
        if (!tap_ok(str_eq(buf_str(&b), str_of(rows[i].want)), "%s", rows[i].rule))
            tap_note("got  %s", b.p);
        test_json(&rows[i].e, rows[i].rule);
    }
    CLEANUP(buf_done) struct buf b;
    buf_init(&b, 4 * KIB);
    event_line(&rows[6].e, 1767604001120, &b);
    tap_ok(str_eq(buf_str(&b), STR("2026-01-05T09:06:41.120Z OCSF CONFIG:LOADED [INFO] policy 3\n")),
           "a line has its time");
    return tap_done();
}
