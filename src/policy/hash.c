// The canonical encoding. A policy is hashed as one string of bytes from which the policy could be read back
// without doubt, so two policies have the same bytes only if they mean the same:
//
//   policy   "openshell policy 1" 0x00 object
//   object   { tag field } 0x00      tags ascending (policy/shape.c); a field that is at its default is left
//   out field    STR    length bytes                      length and count: 8 bytes, big-endian
//            BOOL   1 byte
//            U32    4 bytes, big-endian
//            LIST   count { object }                  in the order given
//            MAP    count { object }                  by their first field, the key, in byte order
//            VALUE  value
//   value    0 null | 1 false | 2 true | 3 number | 4 length bytes | 5 count { value }
//            | 6 count { length bytes value }         by key in byte order
//   number   8 bytes, IEEE 754 binary64, big-endian, no negative zero, one NaN
//
// Tags start at 1, so 0x00 ends an object; every other part says its own length. A new field with a new tag
// leaves the hash of the policies without it as it is.
#include "policy/hash.h"
#include "policy/shape.h"

#include <openssl/evp.h>

struct sink {
    EVP_MD_CTX *md;
    bool failed; // libcrypto or malloc; looked at once, at the end
    size_t n;
    unsigned char b[1024]; // most parts are a few bytes, and a call of libcrypto is not free
};

static void drain(struct sink *s)
{
    if (s->n > 0 && EVP_DigestUpdate(s->md, s->b, s->n) != 1)
        s->failed = true;
    s->n = 0;
}

static void put(struct sink *s, const void *p, size_t n)
{
    if (n > sizeof(s->b) - s->n)
        drain(s);
    if (n > sizeof(s->b)) {
        if (EVP_DigestUpdate(s->md, p, n) != 1)
            s->failed = true;
        return;
    }
    if (n > 0)
        memcpy(s->b + s->n, p, n);
    s->n += n;
}

static void put_byte(struct sink *s, unsigned b)
{
    unsigned char c = (unsigned char)b;
    put(s, &c, 1);
}

static void put_be(struct sink *s, uint64_t v, unsigned bytes)
{
    while (bytes-- > 0)
        put_byte(s, v >> (8 * bytes) & 0xff);
}

static void put_le(struct sink *s, uint64_t v, unsigned bytes)
{
    for (unsigned i = 0; i < bytes; i++)
        put_byte(s, v >> (8 * i) & 0xff);
}

static void put_str(struct sink *s, struct str x)
{
    put_be(s, x.n, 8);
    put(s, x.p, x.n);
}

static bool sink_open(struct sink *s)
{
    *s = (struct sink){.md = EVP_MD_CTX_new()};
    return s->md && EVP_DigestInit_ex(s->md, EVP_sha256(), NULL) == 1;
}

static bool sink_finish(struct sink *s, unsigned char ret[static 32])
{
    drain(s);
    return !s->failed && EVP_DigestFinal_ex(s->md, ret, NULL) == 1;
}

static void sink_done(struct sink *s)
{
    EVP_MD_CTX_free(s->md);
}

// One order for each map: what is sorted, and the key and place of each of its items.
struct slot {
    struct str key;
    size_t i;
};

static int slot_cmp(const void *a, const void *b)
{
    const struct slot *x = a, *y = b;
    int c = str_cmp(x->key, y->key);
    return c != 0 ? c : (x->i > y->i) - (x->i < y->i);
}

// The places of n items sorted by key, for the caller to free. The keys are struct str, `step` bytes apart.
static struct slot *sorted(const void *keys, size_t step, size_t n)
{
    struct slot *v = calloc(n ? n : 1, sizeof(*v));
    if (!v)
        return NULL;
    for (size_t i = 0; i < n; i++) {
        v[i].i = i;
        memcpy(&v[i].key, (const char *)keys + i * step, sizeof(v[i].key));
    }
    qsort(v, n, sizeof(*v), slot_cmp);
    return v;
}

static void put_value(struct sink *s, const struct value *v)
{
    switch (v->kind) {
    case VALUE_NULL:
        put_byte(s, 0);
        return;
    case VALUE_BOOL:
        put_byte(s, v->boolean ? 2 : 1);
        return;
    case VALUE_NUMBER:
        put_byte(s, 3);
        put_be(s, shape_number_bits(v->number), 8);
        return;
    case VALUE_STRING:
        put_byte(s, 4);
        put_str(s, v->string);
        return;
    case VALUE_LIST:
        put_byte(s, 5);
        put_be(s, v->n, 8);
        for (size_t i = 0; i < v->n; i++)
            put_value(s, &v->items[i]);
        return;
    case VALUE_MAP:
        break;
    }
    put_byte(s, 6);
    put_be(s, v->n, 8);
    CLEANUP(base_freep) struct slot *order = sorted(v->keys, sizeof(*v->keys), v->n);
    s->failed |= !order;
    for (size_t i = 0; order && i < v->n; i++) {
        put_str(s, order[i].key);
        put_value(s, &v->items[order[i].i]);
    }
}

static void put_object(struct sink *s, const struct shape *shape, const void *object);

static void put_items(struct sink *s, const struct shape_field *f, const void *object)
{
    size_t n;
    const char *items = shape_get_items(f, object, &n);
    CLEANUP(base_freep) struct slot *order = f->kind == SHAPE_MAP ? sorted(items, f->of->size, n) : NULL;
    s->failed |= f->kind == SHAPE_MAP && !order;
    put_be(s, n, 8);
    for (size_t i = 0; i < n && !s->failed; i++)
        put_object(s, f->of, items + (order ? order[i].i : i) * f->of->size);
}

static bool is_default(const struct shape_field *f, const void *object)
{
    size_t n;
    switch (f->kind) {
    case SHAPE_STR:
        return shape_get_str(f, object).n == 0;
    case SHAPE_BOOL:
    case SHAPE_U32:
        return shape_get_u32(f, object) == 0;
    case SHAPE_VALUE:
        return !shape_get_value(f, object);
    case SHAPE_LIST:
    case SHAPE_MAP:
        (void)shape_get_items(f, object, &n);
        return n == 0;
    }
    return false;
}

static void put_object(struct sink *s, const struct shape *shape, const void *object)
{
    for (size_t i = 0; i < shape->n; i++) {
        const struct shape_field *f = &shape->fields[i];
        if (is_default(f, object))
            continue;
        put_byte(s, f->tag);
        switch (f->kind) {
        case SHAPE_STR:
            put_str(s, shape_get_str(f, object));
            break;
        case SHAPE_BOOL:
            put_byte(s, 1);
            break;
        case SHAPE_U32:
            put_be(s, shape_get_u32(f, object), 4);
            break;
        case SHAPE_VALUE:
            put_value(s, shape_get_value(f, object));
            break;
        case SHAPE_LIST:
        case SHAPE_MAP:
            put_items(s, f, object);
            break;
        }
    }
    put_byte(s, 0);
}

static enum err_code no_digest(struct err *reterr)
{
    return err_set(reterr, ERR_LIMIT, "no memory to hash a policy");
}

enum err_code policy_hash(const struct policy *p, char ret[static POLICY_HASH_LEN + 1], struct err *reterr)
{
    static const char magic[] = "openshell policy 1"; // its NUL is part of the encoding
    CLEANUP(sink_done) struct sink s = {};
    if (!sink_open(&s))
        return no_digest(reterr);
    put(&s, magic, sizeof(magic));
    put_object(&s, &shape_policy, p);
    unsigned char digest[POLICY_HASH_LEN / 2];
    if (!sink_finish(&s, digest))
        return no_digest(reterr);
    for (size_t i = 0; i < sizeof(digest); i++) {
        ret[2 * i] = "0123456789abcdef"[digest[i] >> 4];
        ret[2 * i + 1] = "0123456789abcdef"[digest[i] & 15];
    }
    ret[POLICY_HASH_LEN] = '\0';
    return ERR_OK;
}

// The bytes of reference 1.9, in this order and with nothing between them: policy source (int32,
// little-endian), failure mode, extension authentication (0 or 1), hex policy hash; for each setting by key:
// key, scope (int32, little-endian), type tag (1 byte: 0 string, 1 bool, 2 int, 3 bytes), value (string and
// bytes as they are, bool 1 byte, int 8 bytes little-endian); each service by name. The revision is the first
// 8 bytes of their SHA-256, little-endian.
enum err_code policy_config_revision(const struct hash_config *c, uint64_t *ret, struct err *reterr)
{
    CLEANUP(sink_done) struct sink s = {};
    CLEANUP(base_freep) struct slot *settings = sorted(c->settings, sizeof(*c->settings), c->settings_n);
    CLEANUP(base_freep) struct slot *services = sorted(c->services, sizeof(*c->services), c->services_n);
    if (!settings || !services || !sink_open(&s))
        return no_digest(reterr);
    put_le(&s, (uint32_t)c->policy_source, 4);
    put(&s, c->failure_mode.p, c->failure_mode.n);
    put_byte(&s, c->extension_auth);
    put(&s, c->policy_hash.p, c->policy_hash.n);
    for (size_t i = 0; i < c->settings_n; i++) {
        const struct hash_setting *x = &c->settings[settings[i].i];
        put(&s, x->key.p, x->key.n);
        put_le(&s, (uint32_t)x->scope, 4);
        put_byte(&s, x->tag);
        if (x->tag == SETTING_BOOL)
            put_byte(&s, x->number != 0);
        else if (x->tag == SETTING_INT)
            put_le(&s, (uint64_t)x->number, 8);
        else
            put(&s, x->bytes.p, x->bytes.n);
    }
    for (size_t i = 0; i < c->services_n;
         i++) // "name NUL …": the order of the whole strings is that of the names
        put(&s, services[i].key.p, services[i].key.n);
    unsigned char digest[POLICY_HASH_LEN / 2];
    if (!sink_finish(&s, digest))
        return no_digest(reterr);
    uint64_t revision = 0;
    for (size_t i = 8; i-- > 0;)
        revision = revision << 8 | digest[i];
    *ret = revision;
    return ERR_OK;
}
