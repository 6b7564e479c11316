#include "cmd/yaml_out.h"

// Words that a reader would take for something else than text (YAML 1.1 and 1.2).
static bool is_word_of_yaml(struct str s)
{
    static const struct str words[] = {STR_INIT("y"),    STR_INIT("yes"),   STR_INIT("n"),
                                       STR_INIT("no"),   STR_INIT("on"),    STR_INIT("off"),
                                       STR_INIT("true"), STR_INIT("false"), STR_INIT("null")};
    for (size_t i = 0; i < ARRAY_LEN(words); i++)
        if (str_eq_ci(s, words[i]))
            return true;
    return false;
}

// Only what is a plain scalar beyond any doubt; the rest is quoted.
static bool is_plain(struct str s)
{
    if (s.n == 0 || !char_is_alpha(s.p[0]) || is_word_of_yaml(s))
        return false;
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];
        if (!char_is_alpha(c) && !char_is_digit(c) && c != '-' && c != '_' && c != '.' && c != '/')
            return false;
    }
    return true;
}

static void write_text(struct buf *out, struct str s)
{
    if (is_plain(s))
        buf_add(out, s);
    else
        jsonw_string(out, s); // a JSON string is a double-quoted scalar (YAML 1.2 section 1.3)
}

static bool is_block(const json_t *v)
{
    return (json_is_object(v) && json_object_size(v) > 0) || (json_is_array(v) && json_array_size(v) > 0);
}

static void write_scalar(struct buf *out, const json_t *v)
{
    if (json_is_string(v))
        write_text(out, (struct str){json_string_value(v), json_string_length(v)});
    else if (json_is_integer(v))
        buf_addf(out, "%lld", (long long)json_integer_value(v));
    else if (json_is_real(v))
        buf_addf(out, "%.17g", json_real_value(v));
    else if (json_is_object(v))
        buf_addf(out, "{}");
    else if (json_is_array(v))
        buf_addf(out, "[]");
    else
        buf_addf(out, "%s", json_is_true(v) ? "true" : json_is_false(v) ? "false" : "null");
}

static int compare_keys(const void *a, const void *b)
{
    const char *const *x = a, *const *y = b;
    return strcmp(*x, *y);
}

struct writer {
    struct buf *out;
    bool failed; // no memory for a list of keys
};

enum { DEPTH_MAX = 64 }; // of our own answers: nothing is as deep

static void write_block(struct writer *w, const json_t *v, size_t indent, size_t depth);

// What stands behind "key:" or "-".
static void write_value(struct writer *w, const json_t *v, size_t indent, bool item, size_t depth)
{
    if (!is_block(v)) {
        buf_addc(w->out, ' ');
        write_scalar(w->out, v);
        buf_addc(w->out, '\n');
    } else if (item) { // "- a: 1": the first line of the block stands on the dash's
        buf_addc(w->out, ' ');
        write_block(w, v, indent + 2, depth + 1);
    } else {
        buf_addc(w->out, '\n');
        size_t deeper = json_is_array(v) ? indent : indent + 2;
        buf_pad(w->out, ' ', deeper);
        write_block(w, v, deeper, depth + 1);
    }
}

static void write_object(struct writer *w, const json_t *v, size_t indent, size_t depth)
{
    size_t n = 0;
    CLEANUP(base_freep) const char **keys = calloc(json_object_size(v), sizeof(*keys));
    if (!keys) {
        w->failed = true;
        return;
    }
    json_t *own = (json_t *)(uintptr_t)v; // iterators of jansson take no const
    for (void *it = json_object_iter(own); it; it = json_object_iter_next(own, it))
        keys[n++] = json_object_iter_key(it);
    qsort(keys, n, sizeof(*keys), compare_keys);
    for (size_t i = 0; i < n; i++) {
        if (i > 0)
            buf_pad(w->out, ' ', indent);
        write_text(w->out, str_of(keys[i]));
        buf_addc(w->out, ':');
        write_value(w, json_object_get(v, keys[i]), indent, false, depth);
    }
}

// The cursor stands at column `indent` of a line that has nothing else.
static void write_block(struct writer *w, const json_t *v, size_t indent, size_t depth)
{
    if (depth > DEPTH_MAX) {
        w->failed = true;
        return;
    }
    if (json_is_object(v)) {
        write_object(w, v, indent, depth);
        return;
    }
    for (size_t i = 0; i < json_array_size(v); i++) {
        if (i > 0)
            buf_pad(w->out, ' ', indent);
        buf_addc(w->out, '-');
        write_value(w, json_array_get(v, i), indent, true, depth);
    }
}

bool yaml_write(const json_t *root, struct buf *out)
{
    struct writer w = {.out = out};
    if (is_block(root)) {
        write_block(&w, root, 0, 0);
    } else {
        write_scalar(out, root);
        buf_addc(out, '\n');
    }
    return !w.failed;
}

int yaml_out(struct cli *cli, json_t *root, bool ok)
{
    CLEANUP(json_freep) json_t *own = root;
    if (!own || !ok || !yaml_write(own, &cli->out))
        return report(cli, "memory ran out", "cannot write YAML");
    return 0;
}
