#include "cmd/input.h"
#include "cmd/json_out.h"
#include "cmd/policy_file.h"
#include "policy/diff.h"

enum { DIFF_DIFFERENT = 1, DIFF_TROUBLE = 2 };

enum { OPT_OUTPUT };
static const struct opt diff_opts[] = {
    [OPT_OUTPUT] = {.name = "output",
                    .letter = 'o',
                    .type = OPT_ENUM,
                    .value = "FORMAT",
                    .values = command_table_or_json,
                    .def = "table",
                    .help = "How to print the result"},
};
static const struct arg diff_args[] = {
    {.name = "OLD", .type = OPT_PATH, .help = "Policy file, or - for standard input"},
    {.name = "NEW", .type = OPT_PATH, .help = "Policy file to compare with it, or - for standard input"},
};
static const struct example diff_examples[] = {
    {"What a change opens and closes", "openshell policy diff old.yaml new.yaml"},
    {"Refuse a change that opens something",
     "openshell policy diff -o json old.yaml new.yaml | jq -e 'all(.changes[]; .effect != \"widens\")'"},
};
static const struct exit_row diff_exits[] = {
    {0, "The policies mean the same"},
    {1, "They differ"},
    {2, "A policy is not valid or could not be read, or the command line is wrong"},
};

static const struct group {
    enum change_effect effect;
    const char *name; // in JSON
    const char *sign, *heading;
    int style;
} groups[] = {
    {EFFECT_WIDENS, "widens", "+", "The agent may do more:", STYLE_YELLOW},
    {EFFECT_NARROWS, "narrows", "-", "The agent may do less:", STYLE_GREEN},
    {EFFECT_EITHER, "either", "~", "More or less, which the text alone does not tell:", STYLE_CYAN},
    {EFFECT_NONE, "none", ".", "No difference to the agent:", STYLE_DIM},
};

static void diff_human(struct cli *cli, const struct change *v, size_t n)
{
    const struct term *t = &cli->out_term;
    struct buf *out = &cli->out;
    bool any = false;
    for (size_t g = 0; g < ARRAY_LEN(groups); g++) {
        bool first = true;
        for (size_t i = 0; i < n; i++) {
            if (v[i].effect != groups[g].effect)
                continue;
            if (first) {
                buf_addf(out, "%s", any ? "\n" : "");
                term_put(out, t, STYLE_BOLD, "%s", groups[g].heading);
                buf_addc(out, '\n');
            }
            first = false;
            any = true;
            buf_addf(out, "  ");
            term_put(out, t, groups[g].style, "%s", groups[g].sign);
            buf_addc(out, ' ');
            term_wrap(out, v[i].text, 4, 4, "", t->width);
            if (v[i].is_static)
                term_put(out, t, STYLE_BOLD, " (needs a new sandbox)");
            buf_addf(out, "\n    ");
            term_put(out, t, STYLE_DIM, "%.*s", (int)v[i].path.n, v[i].path.p ? v[i].path.p : "");
            buf_addc(out, '\n');
        }
    }
    if (n == 0)
        buf_addf(out, "The policies mean the same.\n");
}

static json_t *diff_json(const char *from, const char *to, const struct change *v, size_t n, bool *ok)
{
    static const char *const kinds[] =
        {[CHANGE_ADDED] = "added", [CHANGE_REMOVED] = "removed", [CHANGE_CHANGED] = "changed"};
    json_t *list = json_array();
    for (size_t i = 0; i < n; i++) {
        json_t *o = json_object();
        const char *effect = "";
        for (size_t g = 0; g < ARRAY_LEN(groups); g++)
            effect = v[i].effect == groups[g].effect ? groups[g].name : effect;
        json_put(o, "effect", json_string(effect), ok);
        json_put(o, "kind", json_string(kinds[v[i].kind]), ok);
        json_put(o, "path", json_text(v[i].path), ok);
        json_put(o, "static", json_boolean(v[i].is_static), ok);
        json_put(o, "text", json_text(v[i].text), ok);
        json_push(list, o, ok);
    }
    json_t *root = json_object();
    json_put(root, "changes", list, ok);
    json_put(root, "different", json_boolean(n > 0), ok);
    json_put(root, "new", json_text(str_of(input_name(to))), ok);
    json_put(root, "old", json_text(str_of(input_name(from))), ok);
    return root;
}

static bool load(struct cli *cli, const char *path, struct policy_file *f)
{
    struct err err = {};
    enum err_code r = policy_file_load(path, f, &err);
    if (r != ERR_OK)
        (void)policy_file_report(cli, path, f, r, &err);
    return r == ERR_OK;
}

static int diff_run(struct cli *cli, const struct args *a)
{
    const char *from = a->words[0], *to = a->words[1];
    if (strcmp(from, "-") == 0 && strcmp(to, "-") == 0)
        return report_usage(cli, a, NULL, "standard input cannot be both policies");
    CLEANUP(policy_file_done) struct policy_file old, new;
    policy_file_init(&old);
    policy_file_init(&new);
    bool old_ok = load(cli, from, &old),
         new_ok = load(cli, to, &new); // both, so that all that is wrong is said
    if (!old_ok || !new_ok)
        return DIFF_TROUBLE;

    CLEANUP(arena_done) struct arena arena;
    arena_init(&arena, POLICY_ARENA_MAX);
    struct change *changes = NULL;
    size_t n = 0;
    struct err err = {};
    if (policy_diff(old.policy, new.policy, &arena, &changes, &n, &err) != ERR_OK) {
        (void)report(cli, err.msg, "cannot compare %s and %s", from, to);
        return DIFF_TROUBLE;
    }
    bool ok = true;
    if (args_is(a, &diff_opts[OPT_OUTPUT], "json")) {
        json_t *answer = diff_json(from, to, changes, n, &ok);
        if (json_out(cli, answer, ok) != 0)
            return DIFF_TROUBLE;
    } else {
        diff_human(cli, changes, n);
    }
    return n > 0 ? DIFF_DIFFERENT : 0;
}

const struct command policy_diff_command = {
    .name = "diff",
    .alias = "",
    .about = "Say what a change of policy means to the agent",
    .text = "Compares meanings, not lines: order and style do not count. Each change is marked + where the "
            "agent may do "
            "more, - where it may do less, ~ where that cannot be told, and . where it makes no difference. "
            "Changes "
            "marked \"needs a new sandbox\" are of settings that a running sandbox keeps.",
    COMMAND_TABLE(args, diff_args),
    COMMAND_TABLE(opts, diff_opts),
    COMMAND_TABLE(examples, diff_examples),
    COMMAND_TABLE(exits, diff_exits),
    .run = diff_run,
};
