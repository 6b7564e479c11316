#include "gateway/compute/mounts.h"

#include <stdlib.h>

#include "gateway/compute/quantity.h"

enum { MODE_MAX = 07777 };

// What the sandbox is made of; reference: gateway 8.2. A target may be none of these, nor hold one, nor lie
// in one.
static const char *const control[] = {"/sandbox",       "/opt/openshell",
                                      "/etc/openshell", "/etc/openshell-tls",
                                      "/run/openshell", "/proc",
                                      "/sys",           "/dev"};

typedef const Google__Protobuf__Value *value;

static bool is_text(value v)
{
    return v && v->kind_case == GOOGLE__PROTOBUF__VALUE__KIND_STRING_VALUE;
}

// Absolute, without empty, "." and ".." parts, and not "/".
static bool is_normal(struct str path)
{
    if (path.n < 2 || path.p[0] != '/' || path.p[path.n - 1] == '/')
        return false;
    for (size_t i = 0, start = 1; i <= path.n; i++) {
        if (i > 0 && (i == path.n || path.p[i] == '/')) {
            struct str part = {path.p + start, i - start};
            if (part.n == 0 || str_eq(part, STR(".")) || str_eq(part, STR("..")))
                return false;
            start = i + 1;
        }
        if (i < path.n && (unsigned char)path.p[i] < 0x20)
            return false;
    }
    return true;
}

static bool is_below(struct str path, struct str top) // or the same
{
    return path.n >= top.n && memcmp(path.p, top.p, top.n) == 0 && (path.n == top.n || path.p[top.n] == '/');
}

static bool overlaps(struct str a, struct str b)
{
    return is_below(a, b) || is_below(b, a);
}

static bool is_volume(struct str name) // as Docker names them
{
    bool ok = name.n >= 2 && name.n <= 255 && (char_is_alpha(name.p[0]) || char_is_digit(name.p[0]));
    for (size_t i = 0; ok && i < name.n; i++)
        ok = char_is_alpha(name.p[i]) || char_is_digit(name.p[i]) || memchr("_.-", name.p[i], 3) != NULL;
    return ok;
}

static enum err_code type_of(struct str word, enum mount_type *ret, struct err *reterr)
{
    static const char *const words[] =
        {[MOUNT_BIND] = "bind", [MOUNT_VOLUME] = "volume", [MOUNT_TMPFS] = "tmpfs"};
    for (size_t i = 0; i < ARRAY_LEN(words); i++)
        if (str_eq(word, str_of(words[i]))) {
            *ret = (enum mount_type)i;
            return ERR_OK;
        }
    return err_set(reterr, ERR_INVALID, "type '%.*s': bind, volume or tmpfs", STR_FMT(word));
}

static enum err_code whole_number(value v, double max, double *ret, struct err *reterr)
{
    bool ok = v->kind_case == GOOGLE__PROTOBUF__VALUE__KIND_NUMBER_VALUE && v->number_value >= 1 &&
              v->number_value <= max && v->number_value == (double)(uint64_t)v->number_value;
    if (ok)
        *ret = v->number_value;
    return ok ? ERR_OK : err_set(reterr, ERR_INVALID, "a whole number from 1 to %.0f", max);
}

static enum err_code set_key(struct mount *m, bool *typed, struct str key, value v, struct err *reterr)
{
    double number = 0;
    enum err_code r = ERR_OK;
    if (str_eq(key, STR("type")) && is_text(v)) {
        *typed = true;
        r = type_of(str_of(v->string_value), &m->type, reterr);
    } else if (str_eq(key, STR("source")) && is_text(v)) {
        m->source = str_of(v->string_value);
    } else if (str_eq(key, STR("target")) && is_text(v)) {
        m->target = str_of(v->string_value);
    } else if (str_eq(key, STR("read_only")) && v->kind_case == GOOGLE__PROTOBUF__VALUE__KIND_BOOL_VALUE) {
        m->read_only = v->bool_value;
    } else if (str_eq(key, STR("size_bytes"))) {
        r = whole_number(v, (double)(1ULL << 50), &number, reterr);
        m->size = (uint64_t)number;
    } else if (str_eq(key, STR("mode"))) {
        r = whole_number(v, MODE_MAX, &number, reterr);
        m->mode = (uint32_t)number;
    } else {
        return err_set(reterr, ERR_INVALID, "'%.*s' is no key of a mount, or has a value of another type",
                       STR_FMT(key));
    }
    return r == ERR_OK ? r : err_wrap(reterr, r, "%.*s", STR_FMT(key));
}

static enum err_code check(const struct mount *m, bool bind_allowed, struct err *reterr)
{
    if (!is_normal(m->target))
        return err_set(reterr, ERR_INVALID, "target '%.*s': an absolute path below /", STR_FMT(m->target));
    for (size_t i = 0; i < ARRAY_LEN(control); i++)
        if (overlaps(m->target, str_of(control[i])))
            return err_set(reterr, ERR_INVALID, "target '%.*s' would cover %s, which the sandbox needs",
                           STR_FMT(m->target), control[i]);
    if (m->type != MOUNT_TMPFS && (m->size > 0 || m->mode > 0))
        return err_set(reterr, ERR_INVALID, "size_bytes and mode are for tmpfs");
    if (m->type == MOUNT_TMPFS && m->source.n > 0)
        return err_set(reterr, ERR_INVALID, "a tmpfs has no source");
    if (m->type == MOUNT_VOLUME && !is_volume(m->source))
        return err_set(reterr, ERR_INVALID, "source '%.*s' is no name of a volume", STR_FMT(m->source));
    if (m->type == MOUNT_BIND && !is_normal(m->source))
        return err_set(reterr, ERR_INVALID, "source '%.*s': an absolute path below /", STR_FMT(m->source));
    if (m->type == MOUNT_BIND && !bind_allowed)
        return err_set(
            reterr, ERR_PRECONDITION,
            "this gateway gives sandboxes no folders of its machine; enable_bind_mounts allows it");
    return ERR_OK;
}

static enum err_code parse_one(value v, bool bind_allowed, struct mount *ret, struct err *reterr)
{
    if (v->kind_case != GOOGLE__PROTOBUF__VALUE__KIND_STRUCT_VALUE)
        return err_set(reterr, ERR_INVALID, "an object with type and target");
    const Google__Protobuf__Struct *o = v->struct_value;
    bool typed = false, read_only_said = false;
    enum err_code r = ERR_OK;
    for (size_t i = 0; r == ERR_OK && i < o->n_fields; i++) {
        struct str key = str_of(o->fields[i]->key);
        read_only_said = read_only_said || str_eq(key, STR("read_only"));
        r = o->fields[i]->value ? set_key(ret, &typed, key, o->fields[i]->value, reterr)
                                : err_set(reterr, ERR_INVALID, "'%.*s' has no value", STR_FMT(key));
    }
    if (r == ERR_OK && !typed)
        r = err_set(reterr, ERR_INVALID, "type is required: bind, volume or tmpfs");
    if (ret->type == MOUNT_BIND && !read_only_said)
        ret->read_only = true; // reference: gateway 8.2
    return r == ERR_OK ? check(ret, bind_allowed, reterr) : r;
}

static enum err_code parse_list(value v, bool bind_allowed, struct arena *a, struct mounts *ret,
                                struct err *reterr)
{
    if (v->kind_case != GOOGLE__PROTOBUF__VALUE__KIND_LIST_VALUE || v->list_value->n_values > MOUNTS_MAX)
        return err_set(reterr, ERR_INVALID, "driver_config.mounts: a list of at most %d", MOUNTS_MAX);
    ret->v = arena_newn(a, struct mount, v->list_value->n_values);
    if (!ret->v)
        return arena_limit(a, "mounts", reterr);
    for (size_t i = 0; i < v->list_value->n_values; i++) {
        enum err_code r = parse_one(v->list_value->values[i], bind_allowed, &ret->v[i], reterr);
        for (size_t k = 0; r == ERR_OK && k < i; k++)
            if (overlaps(ret->v[k].target, ret->v[i].target))
                r = err_set(reterr, ERR_INVALID, "targets '%.*s' and '%.*s' overlap",
                            STR_FMT(ret->v[k].target), STR_FMT(ret->v[i].target));
        if (r != ERR_OK)
            return err_wrap(reterr, r, "driver_config.mounts[%zu]", i);
        ret->n = i + 1;
    }
    return ERR_OK;
}

enum err_code mounts_parse(const Google__Protobuf__Struct *config, bool bind_allowed, struct arena *a,
                           struct mounts *ret, struct err *reterr)
{
    for (size_t i = 0; config && i < config->n_fields; i++) {
        const char *key = config->fields[i]->key;
        if (strcmp(key, "mounts") != 0 || !config->fields[i]->value)
            return err_set(reterr, ERR_INVALID, "driver_config.%.*s is not known; mounts is",
                           STR_FMT(str_of(key)));
        enum err_code r = parse_list(config->fields[i]->value, bind_allowed, a, ret, reterr);
        if (r != ERR_OK)
            return r;
    }
    return ERR_OK;
}

void mounts_json(const struct mounts *m, json_t *list)
{
    static const char *const words[] =
        {[MOUNT_BIND] = "bind", [MOUNT_VOLUME] = "volume", [MOUNT_TMPFS] = "tmpfs"};
    for (size_t i = 0; i < m->n; i++) {
        const struct mount *v = &m->v[i];
        json_t *o = json_pack("{s:s, s:s%, s:b}", "Type", words[v->type], "Target", v->target.p, v->target.n,
                              "ReadOnly", v->read_only);
        if (o && v->source.n > 0)
            (void)json_object_set_new(o, "Source", json_stringn(v->source.p, v->source.n));
        json_t *tmpfs = v->type == MOUNT_TMPFS ? json_object() : NULL;
        if (tmpfs && v->size > 0)
            (void)json_object_set_new(tmpfs, "SizeBytes", json_integer((json_int_t)v->size));
        if (tmpfs)
            (void)json_object_set_new(tmpfs, "Mode", json_integer(v->mode ? (json_int_t)v->mode : 01777));
        if (tmpfs)
            (void)json_object_set_new(o, "TmpfsOptions", tmpfs);
        (void)json_array_append_new(list, o);
    }
}
