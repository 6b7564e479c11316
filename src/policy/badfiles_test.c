// Runs every file of tests/data/bad and tests/data/good through policy_load (tests/data/README.md).
#include "policy/load.h"

#include <dirent.h>

#include "base/buf.h"
#include "tap.h"

static bool read_file(const char *path, struct buf *out)
{
    FILE *f = fopen(path, "rbe");
    if (!f)
        return false;
    char chunk[4096];
    for (size_t n; (n = fread(chunk, 1, sizeof(chunk), f)) > 0;)
        buf_add(out, (struct str){chunk, n});
    bool ok = !ferror(f) && !out->full;
    (void)fclose(f);
    return ok;
}

static void print_diag(const struct diag *x, struct buf *out)
{
    buf_addf(out, "%u:%u: %s: ", x->at.line, x->at.column, x->level == DIAG_ERROR ? "error" : "warning");
    if (x->path.n > 0) {
        buf_add(out, x->path);
        buf_add(out, STR(": "));
    }
    buf_add(out, x->msg);
    if (x->hint.n > 0) {
        buf_add(out, STR(" (hint: "));
        buf_add(out, x->hint);
        buf_addc(out, ')');
    }
    buf_addc(out, '\n');
}

static void note_lines(const char *what, struct str text)
{
    tap_note("%s:", what);
    for (struct str line; str_line(&text, &line);)
        tap_note("%.*s", (int)line.n, line.p);
}

// Loads the file and prints its diagnostics to `out`. *ret is policy_load's answer.
static bool load_file(const char *path, struct buf *out, enum err_code *ret)
{
    CLEANUP(buf_done) struct buf text = {};
    CLEANUP(arena_done) struct arena a = {};
    buf_init(&text, 4 * POLICY_TEXT_MAX);
    arena_init(&a, POLICY_ARENA_MAX);
    if (!read_file(path, &text))
        return false;
    struct policy *policy = NULL;
    struct diags d;
    struct err err = {};
    *ret = policy_load(buf_str(&text), POLICY_USE_FILE, &a, &policy, &d, &err);
    for (size_t i = 0; i < d.n; i++)
        print_diag(&d.v[i], out);
    return (*ret == ERR_OK) == (policy != NULL) && (*ret == ERR_OK) == (d.errors == 0);
}

static void check_bad(const char *dir, const char *name)
{
    char path[4096], expect[4096];
    (void)snprintf(path, sizeof(path), "%s/%s", dir, name);
    (void)snprintf(expect, sizeof(expect), "%.*s.expect", (int)(strlen(path) - strlen(".yaml")), path);
    CLEANUP(buf_done) struct buf want = {}, got = {};
    buf_init(&want, MIB);
    buf_init(&got, MIB);
    enum err_code r = ERR_INTERNAL;
    bool ok = load_file(path, &got, &r) && read_file(expect, &want);
    // A file that begins like this is about warnings: it loads.
    bool loads = str_starts(buf_str(&want), STR("# loads\n"));
    struct str lines = str_from(buf_str(&want), loads ? strlen("# loads\n") : 0);
    ok = ok && r == (loads ? ERR_OK : ERR_INVALID) && str_eq(buf_str(&got), lines);
    if (!tap_ok(ok, "bad/%s says what is wrong, and where", name)) {
        note_lines("got", buf_str(&got));
        note_lines("want", buf_str(&want));
    }
}

static void check_good(const char *dir, const char *name)
{
    char path[4096];
    (void)snprintf(path, sizeof(path), "%s/%s", dir, name);
    CLEANUP(buf_done) struct buf got = {};
    buf_init(&got, MIB);
    enum err_code r = ERR_INTERNAL;
    bool ok = load_file(path, &got, &r) && r == ERR_OK && got.n == 0;
    if (!tap_ok(ok, "good/%s loads without a word", name))
        note_lines("got", buf_str(&got));
}

static void each_file(const char *data, const char *sub, void (*check)(const char *dir, const char *name))
{
    char dir[2048];
    (void)snprintf(dir, sizeof(dir), "%s/%s", data, sub);
    struct dirent **names = NULL;
    int n = scandir(dir, &names, NULL, alphasort), files = 0;
    for (int i = 0; i < n; i++) {
        if (str_ends(str_of(names[i]->d_name), STR(".yaml"))) {
            check(dir, names[i]->d_name);
            files++;
        }
        free(names[i]);
    }
    free(names);
    (void)tap_ok(files >= 10, "%s has files", dir);
}

int main(int argc, char **argv)
{
    const char *data = argc > 1 ? argv[1] : "../../tests/data";
    each_file(data, "bad", check_bad);
    each_file(data, "good", check_good);
    return tap_done();
}
