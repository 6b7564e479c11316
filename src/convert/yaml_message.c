#include "convert/yaml_message.h"

#include "base/jsonw.h"

struct reader {
    struct arena *a;
    struct diags *d;
    struct keypath path;
    bool no_room;
};

static void wrong(struct reader *r, const struct yaml_item *item, const char *want)
{
    diag_add(r->d, DIAG_ERROR, yaml_place(item), keypath_str(&r->path), NULL, "must be %s", want);
}

static bool is_map_entry(const ProtobufCMessageDescriptor *d)
{
    size_t n = strlen(d->name);
    return n > 5 && strcmp(d->name + n - 5, "Entry") == 0 && d->n_fields == 2 &&
           strcmp(d->fields[0].name, "key") == 0 && strcmp(d->fields[1].name, "value") == 0;
}

static bool is_matcher(const ProtobufCMessageDescriptor *d)
{
    return d->n_fields == 2 && protobuf_c_message_descriptor_get_field_by_name(d, "glob") &&
           protobuf_c_message_descriptor_get_field_by_name(d, "any");
}

// Bytes of one element of a field.
static size_t element_size(const ProtobufCFieldDescriptor *f)
{
    switch ((int)f->type) {
    case PROTOBUF_C_TYPE_INT64:
    case PROTOBUF_C_TYPE_UINT64:
        return sizeof(uint64_t);
    case PROTOBUF_C_TYPE_BOOL:
        return sizeof(protobuf_c_boolean);
    case PROTOBUF_C_TYPE_STRING:
    case PROTOBUF_C_TYPE_MESSAGE:
        return sizeof(void *);
    default:
        return sizeof(uint32_t); // int32, uint32, enum: all that our documents have besides
    }
}

// ---- names of enumerations: PROVIDER_PROFILE_CATEGORY_SOURCE_CONTROL is source_control

static size_t enum_prefix(const ProtobufCEnumDescriptor *e)
{
    size_t n = strlen(e->values[0].name); // what all have in common, up to an underscore
    for (unsigned i = 1; i < e->n_values; i++) {
        size_t k = 0;
        while (k < n && e->values[i].name[k] == e->values[0].name[k])
            k++;
        n = k;
    }
    while (n > 0 && e->values[0].name[n - 1] != '_')
        n--;
    return n;
}

static char lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

static bool enum_is(const char *name, size_t prefix, struct str text)
{
    if (strlen(name) - prefix != text.n)
        return false;
    for (size_t i = 0; i < text.n; i++) {
        char c = text.p[i] == '-' ? '_' : text.p[i];
        if (lower(name[prefix + i]) != c)
            return false;
    }
    return true;
}

static void read_enum(struct reader *r, const struct yaml_item *item, const ProtobufCEnumDescriptor *e,
                      int *ret)
{
    size_t prefix = enum_prefix(e);
    for (unsigned i = 0; i < e->n_values && item->value->kind == NODE_STRING; i++)
        if (enum_is(e->values[i].name, prefix, item->value->text)) {
            *ret = e->values[i].value;
            return;
        }
    CLEANUP(buf_done) struct buf b;
    buf_init(&b, 2 * KIB);
    for (unsigned i = 0; i < e->n_values; i++) {
        if (e->values[i].value == 0)
            continue; // unspecified
        buf_add(&b, b.n > 0 ? STR(", ") : STR("one of "));
        for (const char *c = e->values[i].name + prefix; *c; c++)
            buf_addc(&b, lower(*c));
    }
    buf_addc(&b, '\0');
    wrong(r, item, b.p ? b.p : "a known word");
}

// ---- reading

static void read_message(struct reader *r, const struct yaml_item *item, const ProtobufCMessageDescriptor *d,
                         ProtobufCMessage **ret);

static void read_number(struct reader *r, const struct yaml_item *item, const ProtobufCFieldDescriptor *f,
                        void *dst)
{
    bool negative = false;
    uint64_t n = 0;
    bool ok = item->value->kind == NODE_INT && yaml_int(item->value, &negative, &n);
    switch ((int)f->type) {
    case PROTOBUF_C_TYPE_UINT32:
        if (!ok || negative || n > UINT32_MAX)
            wrong(r, item, "a whole number from 0 to 4294967295");
        else
            *(uint32_t *)dst = (uint32_t)n;
        return;
    case PROTOBUF_C_TYPE_UINT64:
        if (!ok || negative)
            wrong(r, item, "a whole number of at least 0");
        else
            *(uint64_t *)dst = n;
        return;
    case PROTOBUF_C_TYPE_INT32:
        if (!ok || n > INT32_MAX)
            wrong(r, item, "a whole number of 32 bits");
        else
            *(int32_t *)dst = negative ? -(int32_t)n : (int32_t)n;
        return;
    default:
        if (!ok || n > INT64_MAX)
            wrong(r, item, "a whole number of 64 bits");
        else
            *(int64_t *)dst = negative ? -(int64_t)n : (int64_t)n;
    }
}

static void read_element(struct reader *r, const struct yaml_item *item, const ProtobufCFieldDescriptor *f,
                         void *dst)
{
    struct str copy = {};
    const struct yaml_node *v = item->value;
    switch ((int)f->type) {
    case PROTOBUF_C_TYPE_STRING:
        if (v->kind != NODE_STRING || memchr(v->text.p ? v->text.p : "", '\0', v->text.n))
            wrong(r, item, "a string (in quotes, where it looks like a number)");
        else if (!arena_dup(r->a, v->text, &copy))
            r->no_room = true;
        else
            *(char **)dst = (char *)(uintptr_t)copy.p;
        return;
    case PROTOBUF_C_TYPE_BOOL:
        if (v->kind != NODE_BOOL)
            wrong(r, item, "true or false");
        else
            *(protobuf_c_boolean *)dst = v->boolean;
        return;
    case PROTOBUF_C_TYPE_ENUM:
        read_enum(r, item, f->descriptor, dst);
        return;
    case PROTOBUF_C_TYPE_MESSAGE:
        read_message(r, item, f->descriptor, dst);
        return;
    case PROTOBUF_C_TYPE_INT32:
    case PROTOBUF_C_TYPE_UINT32:
    case PROTOBUF_C_TYPE_INT64:
    case PROTOBUF_C_TYPE_UINT64:
        read_number(r, item, f, dst);
        return;
    default:
        wrong(r, item, "left out: a document has no such field");
        return;
    }
}

// A map of YAML as the entries of a protobuf map.
static void read_map(struct reader *r, const struct yaml_item *item, const ProtobufCFieldDescriptor *f,
                     ProtobufCMessage *m)
{
    const ProtobufCMessageDescriptor *d = f->descriptor;
    const struct yaml_node *v = item->value;
    if (v->kind != NODE_MAP) {
        wrong(r, item, "a map");
        return;
    }
    ProtobufCMessage **list = arena_newn(r->a, ProtobufCMessage *, v->n);
    for (size_t i = 0; list && i < v->n; i++) {
        ProtobufCMessage *entry = arena_alloc(r->a, d->sizeof_message);
        struct str key = {};
        if (!entry || !arena_dup(r->a, v->items[i].key->text, &key)) {
            r->no_room = true;
            return;
        }
        d->message_init(entry);
        *(char **)(void *)((char *)entry + d->fields[0].offset) = (char *)(uintptr_t)key.p;
        size_t at = keypath_key(&r->path, v->items[i].key->text);
        read_element(r, &v->items[i], &d->fields[1], (char *)entry + d->fields[1].offset);
        keypath_cut(&r->path, at);
        list[i] = entry;
    }
    r->no_room = r->no_room || !list;
    *(ProtobufCMessage ***)(void *)((char *)m + f->offset) = list;
    *(size_t *)(void *)((char *)m + f->quantifier_offset) = list ? v->n : 0;
}

static void read_list(struct reader *r, const struct yaml_item *item, const ProtobufCFieldDescriptor *f,
                      ProtobufCMessage *m)
{
    const struct yaml_node *v = item->value;
    if (v->kind != NODE_LIST) {
        wrong(r, item, "a list");
        return;
    }
    size_t size = element_size(f);
    char *list = arena_array(r->a, v->n, size);
    for (size_t i = 0; list && i < v->n; i++) {
        size_t at = keypath_index(&r->path, i);
        read_element(r, &v->items[i], f, list + i * size);
        keypath_cut(&r->path, at);
    }
    r->no_room = r->no_room || !list;
    *(void **)(void *)((char *)m + f->offset) = list;
    *(size_t *)(void *)((char *)m + f->quantifier_offset) = list ? v->n : 0;
}

static void read_field(struct reader *r, const struct yaml_item *item, const ProtobufCFieldDescriptor *f,
                       ProtobufCMessage *m)
{
    if (f->type == PROTOBUF_C_TYPE_MESSAGE && f->label == PROTOBUF_C_LABEL_REPEATED &&
        is_map_entry(f->descriptor)) {
        read_map(r, item, f, m);
    } else if (f->label == PROTOBUF_C_LABEL_REPEATED) {
        read_list(r, item, f, m);
    } else {
        if (f->flags & PROTOBUF_C_FIELD_FLAG_ONEOF)
            *(uint32_t *)(void *)((char *)m + f->quantifier_offset) = f->id;
        read_element(r, item, f, (char *)m + f->offset);
    }
}

static void unknown(struct reader *r, const struct yaml_item *item, const ProtobufCMessageDescriptor *d)
{
    struct str names[64];
    size_t n = 0;
    for (unsigned i = 0; i < d->n_fields && n < ARRAY_LEN(names); i++)
        names[n++] = str_of(d->fields[i].name);
    struct str near = diag_suggest(item->key->text, names, n);
    char hint[128];
    (void)snprintf(hint, sizeof(hint), "did you mean %.*s?", STR_FMT(near));
    diag_add(r->d, DIAG_ERROR, yaml_place(item), keypath_str(&r->path), near.n > 0 ? hint : NULL,
             "there is no such key");
}

static void read_message(struct reader *r, const struct yaml_item *item, const ProtobufCMessageDescriptor *d,
                         ProtobufCMessage **ret)
{
    const struct yaml_node *v = item->value;
    ProtobufCMessage *m = arena_alloc(r->a, d->sizeof_message);
    if (!m) {
        r->no_room = true;
        return;
    }
    d->message_init(m);
    *ret = m;
    if (v->kind == NODE_STRING && is_matcher(d)) {
        const ProtobufCFieldDescriptor *f = protobuf_c_message_descriptor_get_field_by_name(d, "glob");
        read_element(r, item, f, (char *)m + f->offset);
        return;
    }
    if (v->kind != NODE_MAP) {
        wrong(r, item, "a map");
        return;
    }
    for (size_t i = 0; i < v->n && !r->no_room; i++) {
        char name[64];
        size_t at = keypath_key(&r->path, v->items[i].key->text);
        const ProtobufCFieldDescriptor *f = str_cstr(v->items[i].key->text, name, sizeof(name))
                                                ? protobuf_c_message_descriptor_get_field_by_name(d, name)
                                                : NULL;
        if (!f)
            unknown(r, &v->items[i], d);
        else if (v->items[i].value->kind != NODE_NULL) // as if it were not there
            read_field(r, &v->items[i], f, m);
        keypath_cut(&r->path, at);
    }
}

enum err_code message_from_yaml(const struct yaml_node *root, const ProtobufCMessageDescriptor *type,
                                struct arena *a, struct diags *d, ProtobufCMessage **ret, struct err *reterr)
{
    struct reader r = {.a = a, .d = d};
    const struct yaml_item item = {.value = root};
    ProtobufCMessage *m = NULL;
    size_t before = d->errors;
    read_message(&r, &item, type, &m);
    if (r.no_room || d->no_room)
        return arena_limit(a, "a document", reterr);
    if (d->errors > before)
        return err_set(reterr, ERR_INVALID, "%zu errors", d->errors - before);
    *ret = m;
    return ERR_OK;
}

// ---- writing

struct writer {
    struct buf *out;
    bool json;
};

static void write_message(struct writer *w, const ProtobufCMessage *m, size_t indent, bool in_list);

static void indent_by(struct writer *w, size_t n)
{
    for (size_t i = 0; i < n; i++)
        buf_addc(w->out, ' ');
}

// Bare where YAML reads it as that string, else as JSON, which is YAML too.
static void write_text(struct writer *w, struct str s)
{
    bool bare = !w->json && s.n > 0 && yaml_resolve(s) == NODE_STRING &&
                (char_is_alpha(s.p[0]) || s.p[0] == '/');
    for (size_t i = 0; bare && i < s.n; i++)
        bare = char_is_alpha(s.p[i]) || char_is_digit(s.p[i]) || memchr("_-./", s.p[i], 4) != NULL;
    if (bare)
        buf_add(w->out, s);
    else
        jsonw_string(w->out, s);
}

static void write_enum(struct writer *w, const ProtobufCEnumDescriptor *e, int value)
{
    const ProtobufCEnumValue *v = protobuf_c_enum_descriptor_get_value(e, value);
    if (w->json)
        buf_addc(w->out, '"');
    for (const char *c = v ? v->name + enum_prefix(e) : "unspecified"; *c; c++)
        buf_addc(w->out, lower(*c));
    if (w->json)
        buf_addc(w->out, '"');
}

static void write_scalar(struct writer *w, const ProtobufCFieldDescriptor *f, const void *p)
{
    switch ((int)f->type) {
    case PROTOBUF_C_TYPE_STRING:
        write_text(w, str_of(*(char *const *)p));
        break;
    case PROTOBUF_C_TYPE_BOOL:
        buf_add(w->out, *(const protobuf_c_boolean *)p ? STR("true") : STR("false"));
        break;
    case PROTOBUF_C_TYPE_ENUM:
        write_enum(w, f->descriptor, *(const int *)p);
        break;
    case PROTOBUF_C_TYPE_UINT32:
        buf_addf(w->out, "%u", *(const uint32_t *)p);
        break;
    case PROTOBUF_C_TYPE_INT32:
        buf_addf(w->out, "%d", *(const int32_t *)p);
        break;
    case PROTOBUF_C_TYPE_UINT64:
        buf_addf(w->out, "%llu", (unsigned long long)*(const uint64_t *)p);
        break;
    default:
        buf_addf(w->out, "%lld", (long long)*(const int64_t *)p);
        break;
    }
}

static const char *matcher_glob(const ProtobufCMessage *m)
{
    const ProtobufCMessageDescriptor *d = m->descriptor;
    if (!is_matcher(d))
        return NULL;
    const ProtobufCFieldDescriptor *any = protobuf_c_message_descriptor_get_field_by_name(d, "any");
    const ProtobufCFieldDescriptor *glob = protobuf_c_message_descriptor_get_field_by_name(d, "glob");
    return *(const size_t *)(const void *)((const char *)m + any->quantifier_offset) > 0
               ? NULL
               : *(char *const *)(const void *)((const char *)m + glob->offset);
}

static bool is_there(const ProtobufCMessage *m, const ProtobufCFieldDescriptor *f)
{
    const char *p = (const char *)m + f->offset;
    if (f->label == PROTOBUF_C_LABEL_REPEATED)
        return *(const size_t *)(const void *)((const char *)m + f->quantifier_offset) > 0;
    if (f->flags & PROTOBUF_C_FIELD_FLAG_ONEOF)
        return *(const uint32_t *)(const void *)((const char *)m + f->quantifier_offset) == f->id;
    switch ((int)f->type) {
    case PROTOBUF_C_TYPE_STRING:
        return (*(char *const *)(const void *)p)[0] != '\0';
    case PROTOBUF_C_TYPE_MESSAGE:
        return *(void *const *)(const void *)p != NULL;
    case PROTOBUF_C_TYPE_BOOL:
        return *(const protobuf_c_boolean *)(const void *)p;
    case PROTOBUF_C_TYPE_UINT64:
    case PROTOBUF_C_TYPE_INT64:
        return *(const uint64_t *)(const void *)p != 0;
    default:
        return *(const uint32_t *)(const void *)p != 0;
    }
}

// What stands behind "key:".
static void write_value(struct writer *w, const ProtobufCFieldDescriptor *f, const void *p, size_t indent,
                        bool in_list)
{
    const ProtobufCMessage *m = f->type == PROTOBUF_C_TYPE_MESSAGE ? *(ProtobufCMessage *const *)p : NULL;
    const char *glob = m ? matcher_glob(m) : NULL;
    if (!m || glob) {
        if (!w->json && !in_list)
            buf_addc(w->out, ' ');
        if (glob)
            write_text(w, str_of(glob));
        else
            write_scalar(w, f, p);
    } else {
        write_message(w, m, indent, in_list);
    }
}

static void write_map(struct writer *w, const ProtobufCFieldDescriptor *f, ProtobufCMessage *const *list,
                      size_t n, size_t indent)
{
    const ProtobufCMessageDescriptor *d = f->descriptor;
    buf_add(w->out, w->json ? STR("{\n") : STR("\n"));
    for (size_t i = 0; i < n; i++) {
        const char *entry = (const char *)list[i];
        indent_by(w, indent);
        write_text(w, str_of(*(char *const *)(const void *)(entry + d->fields[0].offset)));
        buf_add(w->out, w->json ? STR(": ") : STR(":"));
        write_value(w, &d->fields[1], entry + d->fields[1].offset, indent + 2, false);
        if (w->json)
            buf_add(w->out, i + 1 < n ? STR(",\n") : STR("\n"));
        else if (i + 1 < n)
            buf_addc(w->out, '\n');
    }
    if (w->json) {
        indent_by(w, indent - 2);
        buf_addc(w->out, '}');
    }
}

static void write_list(struct writer *w, const ProtobufCFieldDescriptor *f, const char *list, size_t n,
                       size_t indent)
{
    size_t size = element_size(f);
    buf_add(w->out, w->json ? STR("[\n") : STR("\n"));
    for (size_t i = 0; i < n; i++) {
        indent_by(w, w->json ? indent : indent - 2);
        if (!w->json)
            buf_add(w->out, STR("- "));
        write_value(w, f, list + i * size, indent + (w->json ? 2U : 0U), true);
        if (w->json)
            buf_add(w->out, i + 1 < n ? STR(",\n") : STR("\n"));
        else if (i + 1 < n)
            buf_addc(w->out, '\n');
    }
    if (w->json) {
        indent_by(w, indent - 2);
        buf_addc(w->out, ']');
    }
}

// `indent`: of the message's own keys. In a list the first key stands behind the dash.
static void write_message(struct writer *w, const ProtobufCMessage *m, size_t indent, bool in_list)
{
    const ProtobufCMessageDescriptor *d = m->descriptor;
    bool first = true;
    if (w->json)
        buf_addc(w->out, '{');
    for (unsigned i = 0; i < d->n_fields; i++) {
        const ProtobufCFieldDescriptor *f = &d->fields[i];
        const char *p = (const char *)m + f->offset;
        if (!is_there(m, f))
            continue;
        if (w->json)
            buf_add(w->out, first ? STR("\n") : STR(",\n"));
        else if (!first || (!in_list && indent > 0))
            buf_addc(w->out, '\n');
        if (w->json || !first || !in_list)
            indent_by(w, indent);
        first = false;
        write_text(w, str_of(f->name));
        buf_add(w->out, w->json ? STR(": ") : STR(":"));
        if (f->label != PROTOBUF_C_LABEL_REPEATED) {
            write_value(w, f, p, indent + 2, false);
            continue;
        }
        size_t n = *(const size_t *)(const void *)((const char *)m + f->quantifier_offset);
        const void *list = *(void *const *)(const void *)p;
        if (f->type == PROTOBUF_C_TYPE_MESSAGE && is_map_entry(f->descriptor))
            write_map(w, f, list, n, indent + 2);
        else
            write_list(w, f, list, n, indent + 2);
    }
    if (first && !w->json)
        buf_add(w->out, in_list ? STR("{}") : STR(" {}"));
    if (w->json && !first) {
        buf_addc(w->out, '\n');
        indent_by(w, indent - 2);
    }
    if (w->json)
        buf_addc(w->out, '}');
}

void message_to_yaml(const ProtobufCMessage *m, struct buf *out)
{
    struct writer w = {.out = out};
    write_message(&w, m, 0, false);
    buf_addc(out, '\n');
}

void message_to_json(const ProtobufCMessage *m, struct buf *out)
{
    struct writer w = {.out = out, .json = true};
    write_message(&w, m, 2, false);
    buf_addc(out, '\n');
}
