#include "cmd/json_out.h"

#include "base/utf8.h"

json_t *json_text(struct str s)
{
    if (utf8_is_valid(s))
        return json_stringn(s.n ? s.p : "", s.n);
    CLEANUP(base_freep) char *copy = malloc(s.n);
    if (!copy)
        return NULL;
    memcpy(copy, s.p, s.n);
    for (size_t at = 0; at < s.n;) {
        size_t n = utf8_next((struct str){copy + at, s.n - at});
        if (n == 0)
            copy[at] = '?';
        at += n ? n : 1;
    }
    return json_stringn(copy, s.n);
}

void json_put(json_t *object, const char *key, json_t *value, bool *ok)
{
    if (json_object_set_new(object, key, value) != 0)
        *ok = false;
}

void json_push(json_t *array, json_t *value, bool *ok)
{
    if (json_array_append_new(array, value) != 0)
        *ok = false;
}

static int add_bytes(const char *p, size_t n, void *out)
{
    buf_add(out, (struct str){p, n});
    return 0;
}

int json_out(struct cli *cli, json_t *root, bool ok)
{
    CLEANUP(json_freep) json_t *own = root;
    if (!own || !ok || json_dump_callback(own, add_bytes, &cli->out, JSON_INDENT(2) | JSON_SORT_KEYS) != 0)
        return report(cli, "memory ran out", "cannot write JSON");
    buf_addc(&cli->out, '\n');
    return 0;
}
