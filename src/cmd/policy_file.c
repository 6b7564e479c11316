#include "cmd/policy_file.h"

#include <unistd.h>

#include "cmd/diag_render.h"
#include "cmd/input.h"

void policy_file_init(struct policy_file *f)
{
    *f = (struct policy_file){};
    buf_init(&f->text, INPUT_MAX);
    arena_init(&f->arena, POLICY_ARENA_MAX);
    diags_init(&f->diags, &f->arena);
}

void policy_file_done(struct policy_file *f)
{
    arena_done(&f->arena);
    buf_done(&f->text);
}

enum err_code policy_file_load(const char *path, struct policy_file *f, struct err *reterr)
{
    enum err_code r = input_read(path, &f->text, reterr);
    if (r != ERR_OK)
        return r == ERR_INVALID ? ERR_PRECONDITION : r; // ERR_INVALID is for what the file says
    return policy_load(buf_str(&f->text), POLICY_USE_FILE, &f->arena, &f->policy, &f->diags, reterr);
}

enum err_code policy_file_parse(const char *path, struct policy_file *f, struct err *reterr)
{
    enum err_code r = input_read(path, &f->text, reterr);
    if (r != ERR_OK)
        return r == ERR_INVALID ? ERR_PRECONDITION : r;
    return policy_parse(buf_str(&f->text), &f->arena, &f->policy, &f->diags, reterr);
}

int policy_file_report(struct cli *cli, const char *path, const struct policy_file *f, enum err_code code,
                       const struct err *err)
{
    if (code != ERR_INVALID)
        return report(cli, err->msg, "cannot read %s", input_name(path));
    CLEANUP(buf_done) struct buf b, counts;
    buf_init(&b, CLI_OUT_MAX);
    buf_init(&counts, KIB);
    diags_render(&f->diags, input_name(path), buf_str(&f->text), &cli->err_term, &b);
    diag_counts(f->diags.errors, f->diags.warnings, &counts);
    cli_write_err(cli, &b);
    return report(cli, counts.n > 0 ? counts.p : err->msg, "%s is not a valid policy", input_name(path));
}

enum err_code policy_file_compile(struct cli *cli, const char *path, struct snapshot **ret)
{
    CLEANUP(policy_file_done) struct policy_file f;
    policy_file_init(&f);
    struct err err = {};
    enum err_code r = policy_file_load(path, &f, &err);
    if (r != ERR_OK) {
        (void)policy_file_report(cli, path, &f, r, &err);
        return r;
    }
    r = snapshot_compile(f.policy, 1, ret, &err);
    if (r != ERR_OK)
        (void)report(cli, err.msg, "cannot compile %s", input_name(path));
    return r;
}
