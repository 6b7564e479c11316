#include "policy/diff_words.h"
#include "policy/grant.h"
#include "policy/shape.h"

struct pair {
    struct diff *d;
    const struct endpoint *from, *to;
    const struct policy_entry *entry;
    struct words where, who;
    bool is_foreign; // one is inspected in another way, so rules cannot be weighed against each other
};

static bool is_audit(const struct endpoint *e)
{
    return !str_eq(e->enforcement, STR("enforce"));
}

// What a refusal is worth: in audit mode it is only logged, so nothing is certain to be refused.
static enum change_effect refusal(const struct pair *p)
{
    return p->is_foreign || is_audit(p->to) ? EFFECT_EITHER : EFFECT_NARROWS;
}

static const char *audit_note(const struct pair *p)
{
    return is_audit(p->to) ? " (enforcement is audit: it is only logged)" : "";
}

static bool has_rule(const struct l7_rule *v, size_t n, const struct l7_rule *rule)
{
    for (size_t i = 0; i < n; i++)
        if (shape_same(&shape_rule, &v[i], rule))
            return true;
    return false;
}

static bool is_covered(const struct l7_rule *v, size_t n, const struct l7_rule *rule)
{
    for (size_t i = 0; i < n; i++)
        if (grant_covers_rule(&v[i], rule))
            return true;
    return false;
}

// The rules themselves, or those that a preset stands for. Returns the number of changes.
static size_t diff_allows(struct pair *p)
{
    const struct l7_rule *from = NULL, *to = NULL;
    size_t from_n = grant_rules(p->from, &from), to_n = grant_rules(p->to, &to), changes = 0;
    for (size_t i = 0; i < to_n; i++) {
        if (has_rule(from, from_n, &to[i]))
            continue;
        bool is_old = is_covered(from, from_n, &to[i]) && !p->is_foreign;
        struct words what = diff_rule(&to[i], p->to);
        diff_add(p->d, CHANGE_ADDED,
                 p->is_foreign ? EFFECT_EITHER
                 : is_old      ? EFFECT_NONE
                               : EFFECT_WIDENS,
                 false, "%s may now also %s%s", p->who.b, what.b,
                 is_old ? " (another rule allowed it before)" : "");
        changes++;
    }
    for (size_t i = 0; i < from_n; i++) {
        if (has_rule(to, to_n, &from[i]))
            continue;
        bool is_still = is_covered(to, to_n, &from[i]) && !p->is_foreign;
        struct words what = diff_rule(&from[i], p->from);
        if (is_still)
            diff_add(p->d, CHANGE_REMOVED, EFFECT_NONE, false,
                     "the rule by which %s may %s is gone, another rule still allows it", p->who.b, what.b);
        else
            diff_add(p->d, CHANGE_REMOVED, refusal(p), false, "%s may no longer %s%s", p->who.b, what.b,
                     audit_note(p));
        changes++;
    }
    return changes;
}

static void diff_access(struct pair *p)
{
    size_t at = keypath_key(&p->d->at, p->to->rules_n > 0 ? STR("rules") : STR("access"));
    size_t changes = diff_allows(p);
    const struct l7_rule *ignored;
    if (changes == 0 && !str_eq(p->from->access, p->to->access)) {
        bool is_known = grant_rules(p->from, &ignored) > 0 && grant_rules(p->to, &ignored) > 0;
        struct words from = diff_str(p->from->access), to = diff_str(p->to->access);
        diff_add(p->d, CHANGE_CHANGED, is_known ? EFFECT_NONE : EFFECT_EITHER, false,
                 "access of %s changes from %s to %s%s", p->where.b, from.b, to.b,
                 is_known ? ", which allows the same" : "");
    }
    keypath_cut(&p->d->at, at);
}

static void diff_denies(struct pair *p)
{
    size_t at = keypath_key(&p->d->at, STR("deny_rules"));
    for (size_t i = 0; i < p->to->deny_rules_n; i++) {
        if (has_rule(p->from->deny_rules, p->from->deny_rules_n, &p->to->deny_rules[i]))
            continue;
        struct words what = diff_rule(&p->to->deny_rules[i], p->to);
        diff_add(p->d, CHANGE_ADDED, refusal(p), false, "a new deny rule: %s may not %s%s", p->who.b, what.b,
                 audit_note(p));
    }
    for (size_t i = 0; i < p->from->deny_rules_n; i++) {
        if (has_rule(p->to->deny_rules, p->to->deny_rules_n, &p->from->deny_rules[i]))
            continue;
        struct words what = diff_rule(&p->from->deny_rules[i], p->from);
        diff_add(p->d, CHANGE_REMOVED, p->is_foreign ? EFFECT_EITHER : EFFECT_WIDENS, false,
                 "a deny rule is gone: %s is no longer kept from %s", p->who.b, what.b);
    }
    keypath_cut(&p->d->at, at);
}

static void diff_ports(struct pair *p)
{
    size_t at = keypath_key(&p->d->at, STR("ports"));
    struct endpoint one = *p->to;
    one.ports_n = 1;
    for (size_t i = 0; i < p->to->ports_n; i++)
        if (!grant_has_port(p->from, p->to->ports[i])) {
            one.ports = &p->to->ports[i];
            diff_add(p->d, CHANGE_ADDED, EFFECT_WIDENS, false, "%s may now also reach %s", p->who.b,
                     diff_where(&one).b);
        }
    for (size_t i = 0; i < p->from->ports_n; i++)
        if (!grant_has_port(p->to, p->from->ports[i])) {
            one.ports = &p->from->ports[i];
            diff_add(p->d, CHANGE_REMOVED, EFFECT_NARROWS, false, "%s is no longer reachable for %s here",
                     diff_where(&one).b, p->who.b);
        }
    keypath_cut(&p->d->at, at);
}

static bool has_ip(const struct strs *list, struct str ip)
{
    for (size_t i = 0; i < list->n; i++)
        if (str_eq_ci(list->v[i], ip))
            return true;
    return false;
}

static void diff_ips(struct pair *p)
{
    size_t at = keypath_key(&p->d->at, STR("allowed_ips"));
    const struct strs *from = &p->from->allowed_ips, *to = &p->to->allowed_ips;
    // The first address opens private space, but closes what it does not list; so with the last one that
    // goes.
    bool is_plain = from->n > 0 && to->n > 0;
    for (size_t i = 0; i < to->n; i++)
        if (!has_ip(from, to->v[i]))
            diff_add(p->d, CHANGE_ADDED, is_plain ? EFFECT_WIDENS : EFFECT_EITHER, false,
                     "%s may now be at address %.*s", p->where.b, STR_FMT(to->v[i]));
    for (size_t i = 0; i < from->n; i++)
        if (!has_ip(to, from->v[i]))
            diff_add(p->d, CHANGE_REMOVED, is_plain ? EFFECT_NARROWS : EFFECT_EITHER, false,
                     "address %.*s is no longer listed for %s", STR_FMT(from->v[i]), p->where.b);
    keypath_cut(&p->d->at, at);
}

static const struct graphql_registered *find_query(const struct endpoint *e, struct str id)
{
    for (size_t i = 0; i < e->registered_n; i++)
        if (str_eq(e->registered[i].id, id))
            return &e->registered[i];
    return NULL;
}

static void diff_registered(struct pair *p)
{
    size_t at = keypath_key(&p->d->at, STR("graphql_persisted_queries"));
    for (size_t i = 0; i < p->to->registered_n; i++) {
        const struct graphql_registered *x = &p->to->registered[i], *old = find_query(p->from, x->id);
        if (!old)
            diff_add(p->d, CHANGE_ADDED, EFFECT_WIDENS, false,
                     "persisted query '%.*s' is now registered for %s", STR_FMT(x->id), p->where.b);
        else if (!shape_same(&shape_registered, old, x))
            diff_add(p->d, CHANGE_CHANGED, EFFECT_EITHER, false,
                     "persisted query '%.*s' of %s stands for another one", STR_FMT(x->id), p->where.b);
    }
    for (size_t i = 0; i < p->from->registered_n; i++)
        if (!find_query(p->to, p->from->registered[i].id))
            diff_add(p->d, CHANGE_REMOVED, EFFECT_NARROWS, false,
                     "persisted query '%.*s' of %s is not registered now", STR_FMT(p->from->registered[i].id),
                     p->where.b);
    keypath_cut(&p->d->at, at);
}

static void diff_protocol(struct pair *p)
{
    bool was = grant_is_inspected(p->from), is = grant_is_inspected(p->to);
    struct words from = diff_str(p->from->protocol), to = diff_str(p->to->protocol);
    size_t at = keypath_key(&p->d->at, STR("protocol"));
    diff_add(p->d, CHANGE_CHANGED,
             was == is ? EFFECT_EITHER
             : is      ? EFFECT_NARROWS
                       : EFFECT_WIDENS,
             false, "protocol of %s changes from %s to %s%s", p->where.b, from.b, to.b,
             was == is ? ""
             : is      ? ": its requests are now inspected"
                       : ": its requests are no longer inspected");
    keypath_cut(&p->d->at, at);
}

static void diff_enforcement(struct pair *p)
{
    bool was = is_audit(p->from), is = is_audit(p->to);
    struct str audit = STR("audit");
    size_t at = keypath_key(&p->d->at, STR("enforcement"));
    diff_add(p->d, CHANGE_CHANGED,
             was == is ? EFFECT_NONE
             : is      ? EFFECT_WIDENS
                       : EFFECT_NARROWS,
             false, "enforcement of %s changes from %.*s to %.*s%s", p->where.b,
             STR_FMT(p->from->enforcement.n > 0 ? p->from->enforcement : audit),
             STR_FMT(p->to->enforcement.n > 0 ? p->to->enforcement : audit),
             was == is ? ""
             : is      ? ": violations are now only logged"
                       : ": violations are now refused");
    keypath_cut(&p->d->at, at);
}

static void diff_tls(struct pair *p)
{
    bool was = str_eq(p->from->tls, STR("skip")), is = str_eq(p->to->tls, STR("skip"));
    struct str automatic = STR("auto");
    size_t at = keypath_key(&p->d->at, STR("tls"));
    diff_add(p->d, CHANGE_CHANGED,
             was == is ? EFFECT_NONE
             : is      ? EFFECT_WIDENS
                       : EFFECT_NARROWS,
             false, "tls of %s changes from %.*s to %.*s%s", p->where.b,
             STR_FMT(p->from->tls.n > 0 ? p->from->tls : automatic),
             STR_FMT(p->to->tls.n > 0 ? p->to->tls : automatic),
             was == is ? ", which means the same"
             : is      ? ": it is no longer looked into"
                       : ": it is now looked into");
    keypath_cut(&p->d->at, at);
}

// The other fields have one sentence each, or none of their own: `more` is the effect of switching on, or of
// a larger number, and the other direction is the opposite.
static const struct {
    const char *field;
    enum change_effect more;
    const char *on, *off;
} plain[] = {
    {"allow_encoded_slash", EFFECT_WIDENS, "paths with an encoded slash are let through",
     "paths with an encoded slash are refused"},
    {"websocket_credential_rewrite", EFFECT_WIDENS, "credentials are filled into WebSocket messages",
     "credentials are not filled into WebSocket messages"},
    {"request_body_credential_rewrite", EFFECT_WIDENS, "credentials are filled into request bodies",
     "credentials are not filled into request bodies"},
    {"allow_uninspected_credentials", EFFECT_WIDENS, "credentials may go where nobody inspects them",
     "credentials need inspection"},
    {"advisor_proposed", EFFECT_NARROWS, "it counts as proposed by an advisor: private addresses stay closed",
     "it counts as declared by the user: private addresses may open"},
    {"provider_credentialed", EFFECT_EITHER, "it receives credentials of a provider",
     "it receives no credentials of a provider"},
    {"graphql_max_body_bytes", EFFECT_WIDENS, NULL, NULL},
    {"json_rpc.max_body_bytes", EFFECT_WIDENS, NULL, NULL},
    {"mcp", EFFECT_NONE, "there is a section of MCP options", "there is no section of MCP options"},
    {"mcp.strict_tool_names", EFFECT_WIDENS, "MCP tool names are not checked strictly",
     "MCP tool names are checked strictly"},
    {"mcp.allow_all_known_mcp_methods", EFFECT_EITHER, "all MCP methods are allowed",
     "only MCP methods that a rule names are allowed"},
};

static enum change_effect opposite(enum change_effect e)
{
    return e == EFFECT_WIDENS ? EFFECT_NARROWS : e == EFFECT_NARROWS ? EFFECT_WIDENS : e;
}

static void diff_plain(struct pair *p, const struct shape_field *f)
{
    size_t at = diff_enter(p->d, f->name), i = 0;
    while (i < ARRAY_LEN(plain) && strcmp(plain[i].field, f->name) != 0)
        i++;
    enum change_effect more = i < ARRAY_LEN(plain) ? plain[i].more : EFFECT_EITHER;
    if (f->kind == SHAPE_STR) {
        struct words from = diff_str(shape_get_str(f, p->from)), to = diff_str(shape_get_str(f, p->to));
        diff_add(p->d, CHANGE_CHANGED, more, false, "%s of %s changes from %s to %s", f->name, p->where.b,
                 from.b, to.b);
    } else if (i < ARRAY_LEN(plain) && plain[i].on) {
        bool is_on = shape_get_u32(f, p->to) != 0;
        diff_add(p->d, CHANGE_CHANGED, is_on ? more : opposite(more), false, "%s: %s now", p->where.b,
                 is_on ? plain[i].on : plain[i].off);
    } else {
        uint32_t from = shape_get_u32(f, p->from), to = shape_get_u32(f, p->to);
        from = from ? from : f->number;
        to = to ? to : f->number;
        diff_add(p->d, CHANGE_CHANGED, to > from ? more : opposite(more), false,
                 "%s of %s changes from %u to %u", f->name, p->where.b, from, to);
    }
    keypath_cut(&p->d->at, at);
}

static void diff_path(struct pair *p)
{
    if (grant_same_path(p->from->path, p->to->path))
        return;
    struct words from = diff_str(p->from->path), to = diff_str(p->to->path);
    size_t at = keypath_key(&p->d->at, STR("path"));
    bool was_all = grant_same_path(p->from->path, (struct str){}),
         is_all = grant_same_path(p->to->path, (struct str){});
    bool has_denies = p->from->deny_rules_n > 0 || p->to->deny_rules_n > 0; // they move with the path
    diff_add(p->d, CHANGE_CHANGED,
             has_denies ? EFFECT_EITHER
             : is_all   ? EFFECT_WIDENS
             : was_all  ? EFFECT_NARROWS
                        : EFFECT_EITHER,
             false, "path of %s changes from %s to %s", p->where.b, from.b, to.b);
    keypath_cut(&p->d->at, at);
}

static const struct {
    const char *field;
    void (*diff)(struct pair *p);
} own[] = {
    // host: only its case can differ; rules: with access
    {"host", NULL},
    {"path", diff_path},
    {"ports", diff_ports},
    {"protocol", diff_protocol},
    {"tls", diff_tls},
    {"enforcement", diff_enforcement},
    {"access", NULL},
    {"rules", NULL},
    {"deny_rules", diff_denies},
    {"allowed_ips", diff_ips},
    {"registered", diff_registered},
};

void diff_endpoint(struct diff *d, const struct endpoint *from, const struct endpoint *to,
                   const struct policy_entry *entry)
{
    struct pair p = {d, from, to, entry, diff_where(to), diff_binaries(entry), false};
    p.is_foreign = !str_eq(from->protocol, to->protocol) || !grant_is_inspected(to) ||
                   from->allow_all_known_mcp_methods == YES || to->allow_all_known_mcp_methods == YES;
    for (size_t i = 0; i < shape_endpoint.n; i++) {
        const struct shape_field *f = &shape_endpoint.fields[i];
        if (shape_same_field(f, from, to))
            continue;
        size_t k = 0;
        while (k < ARRAY_LEN(own) && strcmp(own[k].field, f->name) != 0)
            k++;
        if (k == ARRAY_LEN(own))
            diff_plain(&p, f);
        else if (own[k].diff)
            own[k].diff(&p);
    }
    diff_access(&p);
}
