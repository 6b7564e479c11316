// Events as lines and as OCSF 1.8.0 objects: reference 8.2 and 8.3.
#include "supervisor/events/event.h"

#include "base/clock.h"
#include "base/jsonw.h"
#include "base/utf8.h"

enum { REASON_MAX = 256, MESSAGE_MAX = 120, TITLE_MAX = 120 }; // bytes shown, reference 8.3

static const struct {
    int id;
    const char *label, *tag;
} severities[] = {
    {EVENT_INFO, "Informational", "INFO"}, {EVENT_LOW, "Low", "LOW"},
    {EVENT_MEDIUM, "Medium", "MED"},       {EVENT_HIGH, "High", "HIGH"},
    {EVENT_CRITICAL, "Critical", "CRIT"},  {EVENT_FATAL, "Fatal", "FATAL"},
};

static const struct {
    int id;
    const char *label;
} activities[] = {
    {EVENT_OPEN, "Open"},     {EVENT_CLOSE, "Close"},     {EVENT_RESET, "Reset"},   {EVENT_FAIL, "Fail"},
    {EVENT_REFUSE, "Refuse"}, {EVENT_TRAFFIC, "Traffic"}, {EVENT_LISTEN, "Listen"}, {EVENT_OTHER, "Other"},
};

static const struct class_facts {
    int uid, category;
    const char *name, *category_name, *tag;
} classes[] = {
    [EVENT_NET] = {4001, 4, "Network Activity", "Network Activity", "NET"},
    [EVENT_HTTP] = {4002, 4, "HTTP Activity", "Network Activity", "HTTP"},
    [EVENT_FINDING] = {2004, 2, "Detection Finding", "Findings", "FINDING"},
    [EVENT_CONFIG] = {5019, 5, "Device Config State Change", "Discovery", "CONFIG"},
    [EVENT_LIFECYCLE] = {6002, 6, "Application Lifecycle", "Application Activity", "LIFECYCLE"},
    [EVENT_PROCESS] = {1007, 1, "Process Activity", "System Activity", "PROC"},
};

static const char *severity_tag(enum event_severity s)
{
    for (size_t i = 0; i < ARRAY_LEN(severities); i++)
        if (severities[i].id == (int)s)
            return severities[i].tag;
    return "INFO";
}

static const char *activity_label(int id)
{
    for (size_t i = 0; i < ARRAY_LEN(activities); i++)
        if (activities[i].id == id)
            return activities[i].label;
    return "Other";
}

// ---- the line
// -----------------------------------------------------------------------------------------------

static void add_upper(struct buf *out, struct str s)
{
    for (size_t i = 0; i < s.n; i++)
        buf_addc(out, s.p[i] >= 'a' && s.p[i] <= 'z' ? (char)(s.p[i] - 32) : s.p[i]);
}

// Text from outside inside a line: no line break, nothing that acts on a terminal, at most `max` bytes.
static void add_text(struct buf *out, struct str s, size_t max)
{
    size_t at = out->n;
    buf_add(out, str_head(s, max));
    if (out->n > at)
        utf8_clean(out->p + at, out->n - at);
    if (s.n > max)
        buf_add(out, STR("..."));
}

// A value among others in brackets: what would end it early is escaped.
static void add_value(struct buf *out, struct str s)
{
    s = str_head(s, REASON_MAX);
    for (size_t i = 0; i < s.n; i++) {
        unsigned char c = (unsigned char)s.p[i];
        if (c == '\\' || c == '[' || c == ']')
            buf_addf(out, "\\%c", c);
        else if (c <= 0x20 || c == 0x7f)
            buf_addf(out, "\\u{%x}", c);
        else
            buf_addc(out, (char)c);
    }
}

static void add_actor(struct buf *out, const struct event *e)
{
    if (e->exe.n == 0)
        return;
    add_text(out, e->exe, REASON_MAX);
    buf_addf(out, "(%u) -> ", e->pid);
}

static void add_target(struct buf *out, const struct event *e)
{
    bool v6 = str_has(e->host, ':');
    buf_add(out, v6 ? STR("[") : STR(""));
    add_text(out, e->host, REASON_MAX);
    buf_addf(out, "%s:%u", v6 ? "]" : "", e->port);
}

static void add_engine(struct buf *out, const struct event *e)
{
    if (e->engine.n == 0)
        return;
    buf_add(out, STR(" [policy:"));
    add_value(out, e->policy.n > 0 ? e->policy : STR("-"));
    buf_add(out, STR(" engine:"));
    add_value(out, e->engine);
    buf_addc(out, ']');
}

static void add_bracket(struct buf *out, const char *key, struct str text, size_t max)
{
    buf_addf(out, " [%s:", key);
    add_text(out, text, max);
    buf_addc(out, ']');
}

static void add_action(struct buf *out, const struct event *e)
{
    if (e->action != EVENT_NO_ACTION)
        buf_add(out, e->action == EVENT_ALLOWED ? STR(" ALLOWED") : STR(" DENIED"));
}

static void net_line(const struct event *e, struct buf *out)
{
    add_upper(out, str_of(activity_label((int)e->activity)));
    buf_addf(out, " [%s]", severity_tag(e->severity));
    add_action(out, e);
    if (e->host.n > 0) {
        buf_addc(out, ' ');
        add_actor(out, e);
        add_target(out, e);
    }
    add_engine(out, e);
    struct str reason = e->reason.n > 0 ? e->reason : e->message;
    bool transparent = str_eq(e->reason, STR("transparent_tcp_allowed"));
    if (e->action == EVENT_DENIED || e->activity == EVENT_FAIL)
        add_bracket(out, "reason", reason, REASON_MAX);
    if ((e->host.n == 0 || e->activity == EVENT_FAIL || transparent) && e->message.n > 0)
        add_bracket(out, "msg", e->message, MESSAGE_MAX);
}

static void http_line(const struct event *e, struct buf *out)
{
    add_upper(out, e->method);
    buf_addf(out, " [%s]", severity_tag(e->severity));
    add_action(out, e);
    buf_addc(out, ' ');
    add_actor(out, e);
    add_text(out, e->method, 32);
    bool tls = e->port == 443, plain = tls || e->port == 80, v6 = str_has(e->host, ':');
    buf_addf(out, " %s://%s", tls ? "https" : "http", v6 ? "[" : "");
    add_text(out, e->host, REASON_MAX);
    buf_add(out, v6 ? STR("]") : STR(""));
    if (!plain)
        buf_addf(out, ":%u", e->port);
    add_text(out, e->path, REASON_MAX);
    add_engine(out, e);
    if (e->rule.n == 0 && e->reason.n == 0)
        return;
    buf_addc(out, ' ');
    buf_addc(out, '[');
    if (e->rule.n > 0) {
        buf_add(out, STR("rule:"));
        add_text(out, e->rule, REASON_MAX);
    }
    if (e->reason.n > 0) {
        buf_add(out, e->rule.n > 0 ? STR(" reason:") : STR("reason:"));
        add_text(out, e->reason, REASON_MAX);
    }
    buf_addc(out, ']');
}

static void finding_line(const struct event *e, struct buf *out)
{
    buf_addf(out, "%s [%s] \"", e->action == EVENT_DENIED ? "BLOCKED" : "CREATE", severity_tag(e->severity));
    struct str title = str_head(e->title, TITLE_MAX);
    for (size_t i = 0; i < title.n; i++) {
        if (title.p[i] == '"' || title.p[i] == '\\')
            buf_addc(out, '\\');
        buf_addc(out, title.p[i]);
    }
    buf_add(out, STR("\" [type:"));
    add_value(out, e->uid);
    buf_addc(out, ']');
}

void event_shorthand(const struct event *e, struct buf *out)
{
    buf_addf(out, "%s:", classes[e->class].tag);
    switch (e->class) {
    case EVENT_NET:
        net_line(e, out);
        break;
    case EVENT_HTTP:
        http_line(e, out);
        break;
    case EVENT_FINDING:
        finding_line(e, out);
        break;
    case EVENT_CONFIG:
        add_upper(out, e->state);
        buf_addf(out, " [%s] ", severity_tag(e->severity));
        add_text(out, e->message, REASON_MAX * 2);
        break;
    case EVENT_LIFECYCLE:
        add_upper(out, e->state);
        buf_addf(out, " [%s] openshell-sandbox %s", severity_tag(e->severity),
                 e->activity == EVENT_FAIL ? "Failure" : "Success");
        break;
    case EVENT_PROCESS:
        buf_addf(out, "%s [%s] ", e->activity == EVENT_OPEN ? "LAUNCH" : "TERMINATE",
                 severity_tag(e->severity));
        add_text(out, e->process, REASON_MAX);
        buf_addf(out, "(%u)", e->pid);
        if (e->activity != EVENT_OPEN)
            buf_addf(out, " [exit:%d]", e->exit_code);
        break;
    }
}

void event_line(const struct event *e, uint64_t time_ms, struct buf *out)
{
    char when[CLOCK_RFC3339_SIZE];
    clock_rfc3339((int64_t)time_ms, when);
    buf_addf(out, "%s OCSF ", when);
    event_shorthand(e, out);
    buf_addc(out, '\n');
}

// ---- the object
// ---------------------------------------------------------------------------------------------

static void number(struct buf *out, bool *first, const char *key, uint64_t v)
{
    jsonw_key(out, first, key);
    buf_addf(out, "%llu", (unsigned long long)v);
}

// Enum pairs are always a number and its label (reference 8.2).
static void pair(struct buf *out, bool *first, const char *id, const char *name, uint64_t v,
                 const char *label)
{
    number(out, first, id, v);
    jsonw_member(out, first, name, str_of(label));
}

static void open_object(struct buf *out, bool *first, const char *key, bool *inner)
{
    jsonw_key(out, first, key);
    buf_addc(out, '{');
    *inner = true;
}

static int http_activity(struct str method)
{
    static const struct str methods[] = {STR_INIT("CONNECT"), STR_INIT("DELETE"),  STR_INIT("GET"),
                                         STR_INIT("HEAD"),    STR_INIT("OPTIONS"), STR_INIT("POST"),
                                         STR_INIT("PUT"),     STR_INIT("TRACE"),   STR_INIT("PATCH")};
    for (size_t i = 0; i < ARRAY_LEN(methods); i++)
        if (str_eq(method, methods[i]))
            return (int)i + 1;
    return EVENT_OTHER;
}

static int activity_of(const struct event *e, const char **label)
{
    static const char *const https[] = {"Other",   "Connect", "Delete", "Get",   "Head",
                                        "Options", "Post",    "Put",    "Trace", "Patch"};
    int id = EVENT_OTHER;
    switch (e->class) {
    case EVENT_NET:
        *label = activity_label((int)e->activity);
        return (int)e->activity;
    case EVENT_HTTP:
        id = http_activity(e->method);
        *label = https[id == EVENT_OTHER ? 0 : id];
        return id;
    case EVENT_FINDING:
        *label = "Create";
        return 1;
    case EVENT_CONFIG:
        *label = "Log";
        return 1;
    case EVENT_LIFECYCLE:
        *label = "Start";
        return 3;
    case EVENT_PROCESS:
        *label = e->activity == EVENT_OPEN ? "Launch" : "Terminate";
        return e->activity == EVENT_OPEN ? 1 : 2;
    }
    *label = "Other";
    return id;
}

static void class_members(const struct event *e, struct buf *out, bool *first)
{
    const struct class_facts *c = &classes[e->class];
    const char *label;
    int activity = activity_of(e, &label);
    char type[80];
    (void)snprintf(type, sizeof(type), "%s: %s", c->name, label);
    pair(out, first, "class_uid", "class_name", (uint64_t)c->uid, c->name);
    pair(out, first, "category_uid", "category_name", (uint64_t)c->category, c->category_name);
    pair(out, first, "activity_id", "activity_name", (uint64_t)activity, label);
    pair(out, first, "type_uid", "type_name", (uint64_t)c->uid * 100 + (uint64_t)activity, type);
    for (size_t i = 0; i < ARRAY_LEN(severities); i++)
        if (severities[i].id == (int)e->severity)
            pair(out, first, "severity_id", "severity", (uint64_t)e->severity, severities[i].label);
    if (e->action != EVENT_NO_ACTION) {
        bool ok = e->action == EVENT_ALLOWED;
        pair(out, first, "action_id", "action", ok ? 1 : 2, ok ? "Allowed" : "Denied");
        pair(out, first, "disposition_id", "disposition", ok ? 1 : 2, ok ? "Allowed" : "Blocked");
        if (e->class != EVENT_FINDING)
            pair(out, first, "status_id", "status", ok ? 1 : 2, ok ? "Success" : "Failure");
    }
}

static void metadata(const struct event *e, const struct event_host *h, struct buf *out, bool *first)
{
    bool in, product, os;
    open_object(out, first, "metadata", &in);
    open_object(out, &in, "product", &product);
    jsonw_member(out, &product, "name", STR("OpenShell Sandbox Supervisor"));
    jsonw_member(out, &product, "vendor_name", STR("OpenShell"));
    jsonw_member(out, &product, "version", STR(OPENSHELL_VERSION));
    buf_addc(out, '}');
    jsonw_key(out, &in, "profiles");
    bool network = e->class == EVENT_NET || e->class == EVENT_HTTP;
    bool plain = e->class == EVENT_LIFECYCLE;
    buf_addf(out, "[%s%s\"container\",\"host\"]", plain ? "" : "\"security_control\",",
             network ? "\"network_proxy\"," : "");
    jsonw_member(out, &in, "uid", h->sandbox_id);
    jsonw_member(out, &in, "version", STR("1.8.0"));
    buf_addc(out, '}');
    open_object(out, first, "device", &in);
    jsonw_member(out, &in, "hostname", h->hostname.n > 0 ? h->hostname : STR("openshell-sandbox"));
    open_object(out, &in, "os", &os);
    jsonw_member(out, &os, "name", STR("Linux"));
    buf_add(out, STR("}}"));
    open_object(out, first, "container", &in);
    open_object(out, &in, "image", &os);
    jsonw_member(out, &os, "name", h->image);
    buf_addc(out, '}');
    jsonw_member(out, &in, "name", h->sandbox_name);
    jsonw_member(out, &in, "uid", h->sandbox_id);
    buf_addc(out, '}');
}

static void network_members(const struct event *e, struct buf *out, bool *first)
{
    bool in, process, file;
    if (e->exe.n > 0) {
        open_object(out, first, "actor", &in);
        open_object(out, &in, "process", &process);
        open_object(out, &process, "file", &file);
        jsonw_member(out, &file, "path", e->exe);
        buf_addc(out, '}');
        number(out, &process, "pid", e->pid);
        buf_add(out, STR("}}"));
    }
    if (e->host.n > 0) {
        open_object(out, first, "dst_endpoint", &in);
        jsonw_member(out, &in, "hostname", e->host);
        number(out, &in, "port", e->port);
        buf_addc(out, '}');
    }
    open_object(out, first, "proxy_endpoint", &in);
    jsonw_member(out, &in, "ip", STR("127.0.0.1"));
    number(out, &in, "port", 3128);
    buf_addc(out, '}');
    if (e->engine.n > 0) {
        open_object(out, first, "firewall_rule", &in);
        jsonw_member(out, &in, "name", e->policy.n > 0 ? e->policy : STR("-"));
        jsonw_member(out, &in, "type", e->engine);
        buf_addc(out, '}');
    }
    number(out, first, "observation_point_id", 2);
    jsonw_key(out, first, "is_src_dst_assignment_known");
    buf_add(out, STR("true"));
}

static void http_members(const struct event *e, struct buf *out, bool *first)
{
    bool in, url;
    open_object(out, first, "http_request", &in);
    jsonw_member(out, &in, "http_method", e->method);
    open_object(out, &in, "url", &url);
    jsonw_member(out, &url, "hostname", e->host);
    jsonw_member(out, &url, "path", e->path);
    number(out, &url, "port", e->port);
    jsonw_member(out, &url, "scheme", e->port == 443 ? STR("https") : STR("http"));
    buf_add(out, STR("}}"));
    if (e->status > 0) {
        open_object(out, first, "http_response", &in);
        number(out, &in, "code", e->status);
        buf_addc(out, '}');
    }
}

static void unmapped(const struct event *e, struct buf *out, bool *first)
{
    if (e->rule.n == 0 && e->generation == 0 && e->duration_ns == 0)
        return;
    bool in;
    open_object(out, first, "unmapped", &in);
    if (e->duration_ns > 0)
        number(out, &in, "duration_ns", e->duration_ns);
    if (e->generation > 0)
        number(out, &in, "policy_generation", e->generation);
    if (e->rule.n > 0)
        jsonw_member(out, &in, "rule", e->rule);
    buf_addc(out, '}');
}

static void config_members(const struct event *e, struct buf *out, bool *first)
{
    number(out, first, "state_id", EVENT_OTHER);
    jsonw_member(out, first, "state", e->state);
}

void event_json(const struct event *e, const struct event_host *h, uint64_t time_ms, struct buf *out)
{
    bool first = true, in;
    buf_addc(out, '{');
    class_members(e, out, &first);
    number(out, &first, "time", time_ms);
    if (e->message.n > 0)
        jsonw_member(out, &first, "message", e->message);
    if (e->reason.n > 0)
        jsonw_member(out, &first, "status_detail", e->reason);
    metadata(e, h, out, &first);
    if (e->class == EVENT_NET || e->class == EVENT_HTTP)
        network_members(e, out, &first);
    if (e->class == EVENT_HTTP)
        http_members(e, out, &first);
    if (e->class == EVENT_FINDING) {
        open_object(out, &first, "finding_info", &in);
        jsonw_member(out, &in, "title", e->title);
        jsonw_member(out, &in, "uid", e->uid);
        buf_addc(out, '}');
    }
    if (e->class == EVENT_CONFIG)
        config_members(e, out, &first);
    if (e->class == EVENT_PROCESS) {
        open_object(out, &first, "process", &in);
        jsonw_member(out, &in, "name", e->process);
        number(out, &in, "pid", e->pid);
        buf_addc(out, '}');
        number(out, &first, "exit_code", (uint64_t)e->exit_code);
    }
    unmapped(e, out, &first);
    buf_addc(out, '}');
}
