#include "cli/answer.h"

struct str answer_policy(const struct explanation *x)
{
    return x->decision.entry ? x->decision.entry->name : STR("");
}

static const struct verdict_word {
    const char *word;
    int style;
} verdicts[] = {
    [VERDICT_DENY] = {"DENY", STYLE_AND(STYLE_BOLD, STYLE_RED)},
    [VERDICT_ALLOW] = {"ALLOW", STYLE_AND(STYLE_BOLD, STYLE_GREEN)},
    [VERDICT_AUDIT] = {"AUDIT", STYLE_AND(STYLE_BOLD, STYLE_YELLOW)},
};

void answer_request(const struct ask *k, struct buf *out)
{
    bool v6 = strchr(k->request.host, ':');
    buf_add(out, k->request.connect ? STR("CONNECT") : k->method);
    buf_addf(out, " %s%s%s:%u", v6 ? "[" : "", k->request.host, v6 ? "]" : "", k->request.port);
    if (k->request.connect)
        return;
    buf_add(out, k->path);
    if (k->request.query.n > 0)
        buf_addc(out, '?');
    buf_add(out, k->request.query);
}

static void field(struct buf *out, const struct term *t, const char *name, struct str value)
{
    if (value.n == 0)
        return;
    buf_addf(out, "  ");
    term_put(out, t, STYLE_DIM, "%-8s", name);
    term_wrap(out, value, 10, 10, "", t->width);
    buf_addc(out, '\n');
}

static void put_step(const struct step *s, const struct term *t, struct buf *out)
{
    static const struct {
        const char *mark, *ascii;
        int style;
    } marks[] = {
        [STEP_MATCH] = {"✓", "+", STYLE_GREEN},
        [STEP_MISS] = {"✗", "-", STYLE_RED},
        [STEP_INFO] = {"·", ".", STYLE_DIM},
    };
    size_t indent = 2 + 2 * (size_t)s->depth;
    buf_pad(out, ' ', indent);
    term_put(out, t, marks[s->result].style, "%s",
             t->unicode ? marks[s->result].mark : marks[s->result].ascii);
    buf_addc(out, ' ');
    term_wrap(out, s->text, indent + 2, indent + 2, "", t->width);
    if (s->path.n > 0) {
        bool fits = indent + 2 + term_columns(s->text) + 2 + s->path.n <= t->width;
        if (!fits) {
            buf_addc(out, '\n');
            buf_pad(out, ' ', indent + 2);
        } else {
            buf_addf(out, "  ");
        }
        term_put(out, t, STYLE_DIM, "%.*s", (int)s->path.n, s->path.p);
    }
    buf_addc(out, '\n');
}

void answer_human(const struct ask *k, const struct explanation *x, const struct term *t, struct buf *out)
{
    const struct verdict_word *v = &verdicts[x->decision.verdict];
    term_put(out, t, v->style, "%s", v->word);
    buf_addf(out, "  ");
    answer_request(k, out);
    buf_addc(out, '\n');
    if (x->decision.verdict == VERDICT_AUDIT)
        buf_addf(out, "  forwarded, and logged as a violation: the endpoint does not enforce its rules\n");
    field(out, t, "binary", k->binary);
    field(out, t, "policy", answer_policy(x));
    field(out, t, "rule", x->rule);
    field(out, t, "reason", x->reason);
    if (x->steps_n > 0)
        buf_addc(out, '\n');
    for (size_t i = 0; i < x->steps_n; i++)
        put_step(&x->steps[i], t, out);
    for (size_t i = 0; i < x->advice_n; i++) {
        if (i == 0) {
            buf_addc(out, '\n');
            term_put(out, t, STYLE_BOLD, "To allow this:");
            buf_addc(out, '\n');
        }
        buf_addf(out, "  %s ", t->unicode ? "•" : "*");
        term_wrap(out, x->advice[i], 4, 4, "", t->width);
        buf_addc(out, '\n');
    }
}

static json_t *strs_json(const struct str *v, size_t n, bool *ok)
{
    json_t *list = json_array();
    for (size_t i = 0; i < n; i++)
        json_push(list, json_text(v[i]), ok);
    return list;
}

static json_t *steps_json(const struct explanation *x, bool *ok)
{
    static const char *const results[] = {[STEP_MATCH] = "match", [STEP_MISS] = "miss", [STEP_INFO] = "info"};
    json_t *list = json_array();
    for (size_t i = 0; i < x->steps_n; i++) {
        const struct step *s = &x->steps[i];
        json_t *o = json_object();
        json_put(o, "depth", json_integer(s->depth), ok);
        json_put(o, "path", json_text(s->path), ok);
        json_put(o, "result", json_string(results[s->result]), ok);
        json_put(o, "text", json_text(s->text), ok);
        json_push(list, o, ok);
    }
    return list;
}

json_t *answer_json(const struct ask *k, const struct explanation *x, bool *ok)
{
    json_t *o = json_object();
    json_put(o, "advice", strs_json(x->advice, x->advice_n, ok), ok);
    json_put(o, "ancestors", strs_json(k->ancestors, k->ancestors_n, ok), ok);
    json_put(o, "binary", json_text(k->binary), ok);
    json_put(o, "decision", json_string(verdict_name(x->decision.verdict)), ok);
    json_put(o, "host", json_text(str_of(k->request.host)), ok);
    json_put(o, "inspected", json_boolean(x->conn.inspected), ok);
    json_put(o, "method", json_text(k->request.connect ? STR("CONNECT") : k->method), ok);
    json_put(o, "path", json_text(k->path), ok);
    json_put(o, "policy", json_text(answer_policy(x)), ok);
    json_put(o, "port", json_integer(k->request.port), ok);
    json_put(o, "query", json_text(k->request.query), ok);
    json_put(o, "reason", json_text(x->reason), ok);
    json_put(o, "rule", json_text(x->rule), ok);
    json_put(o, "steps", steps_json(x, ok), ok);
    json_put(o, "why", json_string(why_name(x->decision.why)), ok);
    return o;
}
