// The file of inference routes (reference 5.5), which becomes the gateway's message.
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"
#include "policy/bind.h"
#include "supervisor/inference.h"

struct route_row {
    struct str name, endpoint, model, type, key, key_env;
    struct strs protocols, aliases;
    uint32_t timeout_secs, input_price, output_price, budget_tokens, budget_cost;
};

struct file {
    struct route_row *rows;
    size_t n;
};

static const struct bind_field row_fields[] = {
    {STR_INIT("name"), bind_str, offsetof(struct route_row, name), true},
    {STR_INIT("endpoint"), bind_str, offsetof(struct route_row, endpoint), true},
    {STR_INIT("model"), bind_str, offsetof(struct route_row, model), true},
    {STR_INIT("provider_type"), bind_str, offsetof(struct route_row, type), false},
    {STR_INIT("protocols"), bind_strs, offsetof(struct route_row, protocols), true},
    {STR_INIT("api_key"), bind_str, offsetof(struct route_row, key), false},
    {STR_INIT("api_key_env"), bind_str, offsetof(struct route_row, key_env), false},
    {STR_INIT("timeout_secs"), bind_u32, offsetof(struct route_row, timeout_secs), false},
    {STR_INIT("aliases"), bind_strs, offsetof(struct route_row, aliases), false},
    {STR_INIT("input_price"), bind_u32, offsetof(struct route_row, input_price), false},
    {STR_INIT("output_price"), bind_u32, offsetof(struct route_row, output_price), false},
    {STR_INIT("budget_tokens"), bind_u32, offsetof(struct route_row, budget_tokens), false},
    {STR_INIT("budget_cost"), bind_u32, offsetof(struct route_row, budget_cost), false},
};

static void bind_row(struct binder *b, const struct yaml_item *item, void *field)
{
    bind_map(b, item, BIND_TABLE(row_fields, "an inference route", NULL), field);
}

static void bind_rows(struct binder *b, const struct yaml_item *item, void *field)
{
    struct file *f = field;
    const struct bind_array how = {BIND_LIST, sizeof(struct route_row), bind_row, "a list of routes", NULL};
    f->rows = bind_array(b, item, &how, &f->n);
}

static const struct bind_field file_fields[] = {{STR_INIT("routes"), bind_rows, 0, true}};

static enum err_code open_own(const char *path, int *ret, struct err *e)
{
    struct stat st;
    CLEANUP(fd_close) int fd = -1;
    enum err_code r = fd_open(path, O_RDONLY | O_NONBLOCK, 0, &fd, e);
    if (r != ERR_OK)
        return r;
    if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode))
        return err_set(e, ERR_PRECONDITION, "%s: not a file", path);
    if ((st.st_uid != geteuid() && st.st_uid != 0) || (st.st_mode & 0077) != 0)
        return err_set(e, ERR_DENIED,
                       "%s: others may read it or change it; make it yours alone: chmod 600 %s", path, path);
    *ret = fd_take(&fd);
    return ERR_OK;
}

static enum err_code key_of(const struct route_row *row, char **ret, struct err *e)
{
    if (row->key.n > 0 && row->key_env.n > 0)
        return err_set(e, ERR_INVALID, "route '%.*s': both api_key and api_key_env", STR_FMT(row->name));
    // The strings of a row end in the arena, and may be changed there.
    *ret = (char *)(uintptr_t)(row->key.n > 0 ? row->key.p : "");
    if (row->key_env.n == 0)
        return ERR_OK;
    *ret = getenv(row->key_env.p);
    return *ret ? ERR_OK
                : err_set(e, ERR_NOT_FOUND, "route '%.*s': the variable '%.*s' is not set",
                          STR_FMT(row->name), STR_FMT(row->key_env));
}

static char **texts(struct arena *a, const struct strs *s)
{
    char **v = arena_newn(a, char *, s->n);
    for (size_t i = 0; v && i < s->n; i++)
        v[i] = (char *)(uintptr_t)s->v[i].p;
    return v;
}

static enum err_code message_of(const struct file *f, struct arena *a,
                                Openshell__Inference__V1__GetInferenceBundleResponse *m, struct err *e)
{
    m->routes = arena_newn(a, Openshell__Inference__V1__ResolvedRoute *, f->n);
    for (size_t i = 0; m->routes && i < f->n; i++) {
        const struct route_row *row = &f->rows[i];
        Openshell__Inference__V1__ResolvedRoute *r = arena_new(a, Openshell__Inference__V1__ResolvedRoute);
        struct str key;
        char *given;
        if (!r)
            return arena_limit(a, "the inference routes", e);
        openshell__inference__v1__resolved_route__init(r);
        enum err_code code = key_of(row, &given, e);
        if (code != ERR_OK)
            return code;
        if (!arena_dup(a, str_of(given), &key)) // it will be wiped, and the variable is not ours
            return arena_limit(a, "the inference routes", e);
        r->name = (char *)(uintptr_t)row->name.p;
        r->base_url = (char *)(uintptr_t)row->endpoint.p;
        r->model_id = (char *)(uintptr_t)row->model.p;
        r->provider_type = (char *)(uintptr_t)(row->type.n > 0 ? row->type.p : "");
        r->api_key = (char *)(uintptr_t)key.p;
        r->n_protocols = row->protocols.n;
        r->protocols = texts(a, &row->protocols);
        r->n_aliases = row->aliases.n;
        r->aliases = texts(a, &row->aliases);
        r->timeout_secs = row->timeout_secs;
        r->input_price = row->input_price;
        r->output_price = row->output_price;
        r->budget_tokens = row->budget_tokens;
        r->budget_cost = row->budget_cost;
        if (!r->protocols || !r->aliases)
            return arena_limit(a, "the inference routes", e);
        m->routes[m->n_routes++] = r;
    }
    return m->routes ? ERR_OK : arena_limit(a, "the inference routes", e);
}

static enum err_code bound(struct str text, struct arena *a, struct file *f, struct err *e)
{
    struct diags d;
    const struct yaml_node *root;
    diags_init(&d, a);
    enum err_code r = yaml_parse(text, a, &d, &root, e);
    if (r == ERR_OK) {
        struct binder b = {.a = a, .d = &d};
        const struct yaml_item item = {.value = root};
        bind_map(&b, &item, BIND_TABLE(file_fields, "a file of inference routes", NULL), f);
        if (b.no_room)
            return arena_limit(a, "the inference routes", e);
        yaml_locate(root, &d);
    }
    diags_sort(&d);
    if (d.errors == 0)
        return r;
    // Without the message, which may show what was found there: a key, perhaps.
    return err_set(e, ERR_INVALID, "line %u: %.*s: not what belongs there, or a name that nobody knows",
                   d.n > 0 ? d.v[0].at.line : 0, STR_FMT(d.n > 0 ? d.v[0].path : STR("")));
}

enum err_code inference_set_file(struct inference *i, const char *path, struct err *e)
{
    CLEANUP(fd_close) int fd = -1;
    CLEANUP(secret_done) struct secret text = {};
    CLEANUP(arena_wipe) struct arena a;
    struct file f = {};
    Openshell__Inference__V1__GetInferenceBundleResponse m;
    openshell__inference__v1__get_inference_bundle_response__init(&m);
    arena_init(&a, 16 * MIB);
    enum err_code r = open_own(path, &fd, e);
    if (r != ERR_OK)
        return r;
    r = secret_read(fd, INFERENCE_FILE_MAX, &text, e);
    if (r == ERR_OK)
        r = bound(secret_expose(&text), &a, &f, e);
    if (r == ERR_OK)
        r = message_of(&f, &a, &m, e);
    if (r == ERR_OK)
        r = inference_set(i, &m, e);
    return r == ERR_OK ? r : err_wrap(e, r, "%s", path);
}
