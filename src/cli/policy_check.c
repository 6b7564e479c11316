#include "cmd/diag_render.h"
#include "cmd/input.h"
#include "cmd/json_out.h"
#include "cmd/policy_file.h"
#include "policy/hash.h"

enum { HASH_SHOWN = 12 };

enum { OPT_OUTPUT, OPT_STRICT, OPT_QUIET };
static const struct opt check_opts[] = {
    [OPT_OUTPUT] = {.name = "output",
                    .letter = 'o',
                    .type = OPT_ENUM,
                    .value = "FORMAT",
                    .values = command_table_or_json,
                    .def = "table",
                    .help = "How to print the result"},
    [OPT_STRICT] = {.name = "strict", .type = OPT_FLAG, .help = "Take warnings for errors"},
    [OPT_QUIET] = {.name = "quiet",
                   .letter = 'q',
                   .type = OPT_FLAG,
                   .help = "Print nothing about files that are valid without a warning"},
};
static const struct arg check_args[] = {
    {.name = "FILE", .type = OPT_PATH, .repeat = true, .help = "Policy file, or - for standard input"},
};
static const struct example check_examples[] = {
    {"Check one file", "openshell policy check policy.yaml"},
    {"Refuse a commit that has warnings", "openshell policy check --strict --quiet policies/*.yaml"},
    {"Feed an editor", "openshell policy check -o json policy.yaml | jq '.[0].diagnostics'"},
};
static const struct exit_row check_exits[] = {
    {0, "Every file is valid"},
    {1, "A file is not valid, could not be read, or has warnings under --strict"},
    {2, "The command line is wrong"},
};

// What came of one file.
struct checked {
    enum err_code code; // ERR_INVALID: see the diagnostics; others but ERR_OK: not read
    bool valid;
    size_t errors, warnings;
    char hash[POLICY_HASH_LEN + 1]; // "" unless valid
};

static json_t *diag_json(const struct diag *d, struct str text, bool *ok)
{
    json_t *o = json_object();
    json_put(o, "column", json_integer((json_int_t)diag_column(text, &d->at)), ok);
    json_put(o, "hint", json_text(d->hint), ok);
    json_put(o, "level", json_string(d->level == DIAG_ERROR ? "error" : "warning"), ok);
    json_put(o, "line", json_integer(d->at.line), ok);
    json_put(o, "message", json_text(d->msg), ok);
    json_put(o, "path", json_text(d->path), ok);
    return o;
}

static json_t *file_json(const char *path, const struct policy_file *f, const struct checked *c,
                         const struct err *err, bool *ok)
{
    json_t *list = json_array();
    for (size_t i = 0; i < f->diags.n; i++)
        json_push(list, diag_json(&f->diags.v[i], buf_str(&f->text), ok), ok);
    if (c->code != ERR_OK && c->code != ERR_INVALID) {
        char msg[sizeof(err->msg) + 20];
        (void)snprintf(msg, sizeof(msg), "cannot read it: %s", err->msg);
        const struct diag d = {.level = DIAG_ERROR, .msg = str_of(msg)};
        json_push(list, diag_json(&d, STR(""), ok), ok);
    }
    json_t *o = json_object();
    json_put(o, "diagnostics", list, ok);
    json_put(o, "errors", json_integer((json_int_t)c->errors), ok);
    json_put(o, "file", json_text(str_of(input_name(path))), ok);
    json_put(o, "hash", json_string(c->hash), ok);
    json_put(o, "valid", json_boolean(c->valid), ok);
    json_put(o, "warnings", json_integer((json_int_t)c->warnings), ok);
    return o;
}

// "p.yaml: valid, 2 warnings (hash 0123456789ab)"
static void summary(struct cli *cli, const char *path, const struct checked *c, bool refused)
{
    const struct term *t = &cli->out_term;
    CLEANUP(buf_done) struct buf counts;
    buf_init(&counts, KIB);
    diag_counts(c->errors, c->warnings, &counts);
    term_name(&cli->out, input_name(path));
    buf_addf(&cli->out, ": ");
    if (c->valid && refused)
        term_put(&cli->out, t, STYLE_RED, "refused by --strict");
    else if (c->valid)
        term_put(&cli->out, t, STYLE_GREEN, "valid");
    buf_addf(&cli->out, "%s%s", c->valid && counts.n > 0 ? ", " : "", counts.n > 0 ? counts.p : "");
    if (c->hash[0])
        term_put(&cli->out, t, STYLE_DIM, " (hash %.*s)", HASH_SHOWN, c->hash);
    buf_addc(&cli->out, '\n');
}

static void file_human(struct cli *cli, const char *path, const struct policy_file *f,
                       const struct checked *c, const struct err *err, bool quiet, bool strict)
{
    if (c->code != ERR_OK && c->code != ERR_INVALID) {
        (void)policy_file_report(cli, path, f, c->code, err);
        return;
    }
    if (quiet && c->errors + c->warnings == 0)
        return;
    diags_render(&f->diags, input_name(path), buf_str(&f->text), &cli->out_term, &cli->out);
    summary(cli, path, c, strict && c->warnings > 0);
    cli_flush(cli); // what is known now is shown now
}

static void check_file(const char *path, struct policy_file *f, struct checked *c, struct err *reterr)
{
    c->code = policy_file_load(path, f, reterr);
    if (c->code == ERR_OK)
        c->code = policy_hash(f->policy, c->hash, reterr);
    c->valid = c->code == ERR_OK;
    c->errors = f->diags.errors;
    c->warnings = f->diags.warnings;
    if (!c->valid && c->errors == 0)
        c->errors = 1; // it could not be read
}

static int check_run(struct cli *cli, const struct args *a)
{
    bool json = args_is(a, &check_opts[OPT_OUTPUT], "json");
    bool strict = args_count(a, &check_opts[OPT_STRICT]) > 0,
         quiet = args_count(a, &check_opts[OPT_QUIET]) > 0;
    bool ok = true, failed = false;
    CLEANUP(json_freep) json_t *all = json ? json_array() : NULL;
    for (size_t i = 0; i < a->words_n; i++) {
        CLEANUP(policy_file_done) struct policy_file f;
        policy_file_init(&f);
        struct checked c = {};
        struct err err = {};
        check_file(a->words[i], &f, &c, &err);
        log_info(&cli->log, "policy.check", LOG_STR("file", str_of(a->words[i])), LOG_U64("bytes", f.text.n));
        failed = failed || !c.valid || (strict && c.warnings > 0);
        if (json)
            json_push(all, file_json(a->words[i], &f, &c, &err, &ok), &ok);
        else
            file_human(cli, a->words[i], &f, &c, &err, quiet, strict);
    }
    if (json && json_out(cli, TAKE(all), ok) != 0)
        return EXIT_FAILED;
    return failed ? EXIT_FAILED : 0;
}

const struct command policy_check_command = {
    .name = "check",
    .alias = "",
    .about = "Say what is wrong with policy files",
    .text = "Reads each file as a sandbox would and prints every error and warning, with the line it is "
            "about and, where "
            "that can be guessed, what was meant. Columns count characters.",
    COMMAND_TABLE(args, check_args),
    COMMAND_TABLE(opts, check_opts),
    COMMAND_TABLE(examples, check_examples),
    COMMAND_TABLE(exits, check_exits),
    .run = check_run,
};
