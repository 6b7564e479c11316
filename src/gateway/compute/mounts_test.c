#include "gateway/compute/mounts.h"

#include <stdlib.h>

#include "tap.h"

// A list of mounts as its JSON, and what the engine is asked for, or a part of the error.
static const struct {
    const char *rule, *json, *want;
    bool bind;
} rows[] = {
    {"a volume may be written to", "[{\"type\":\"volume\",\"source\":\"data\",\"target\":\"/data\"}]",
     "[{\"Type\":\"volume\",\"Target\":\"/data\",\"ReadOnly\":false,\"Source\":\"data\"}]", false},
    {"a folder of the machine is read-only unless said otherwise",
     "[{\"type\":\"bind\",\"source\":\"/srv/x\",\"target\":\"/data\"}]",
     "[{\"Type\":\"bind\",\"Target\":\"/data\",\"ReadOnly\":true,\"Source\":\"/srv/x\"}]", true},
    {"and writable when said so",
     "[{\"read_only\":false,\"type\":\"bind\",\"source\":\"/srv/x\",\"target\":\"/data\"}]",
     "[{\"Type\":\"bind\",\"Target\":\"/data\",\"ReadOnly\":false,\"Source\":\"/srv/x\"}]", true},
    {"a tmpfs has a size and a mode",
     "[{\"type\":\"tmpfs\",\"target\":\"/t\",\"size_bytes\":1048576,\"mode\":448}]",
     "[{\"Type\":\"tmpfs\",\"Target\":\"/t\",\"ReadOnly\":false,\"TmpfsOptions\":{\"SizeBytes\":1048576,"
     "\"Mode\":448}}]",
     false},
    {"none", "[]", "[]", false},
    {"folders of the machine need leave", "[{\"type\":\"bind\",\"source\":\"/srv\",\"target\":\"/data\"}]",
     "enable_bind_mounts", false},
    {"an image is no mount", "[{\"type\":\"image\",\"source\":\"x\",\"target\":\"/data\"}]",
     "bind, volume or tmpfs", false},
    {"a type is required", "[{\"target\":\"/data\"}]", "type is required", false},
    {"an unknown key", "[{\"type\":\"tmpfs\",\"target\":\"/t\",\"options\":\"x\"}]", "'options'", false},
    {"a key of another type", "[{\"type\":\"tmpfs\",\"target\":7}]", "'target'", false},
    {"/sandbox is taken", "[{\"type\":\"tmpfs\",\"target\":\"/sandbox\"}]", "would cover /sandbox", false},
    {"and what lies in it", "[{\"type\":\"tmpfs\",\"target\":\"/sandbox/x\"}]", "would cover /sandbox",
     false},
    {"and what holds it", "[{\"type\":\"tmpfs\",\"target\":\"/opt\"}]", "would cover /opt/openshell", false},
    {"a prefix is no folder", "[{\"type\":\"tmpfs\",\"target\":\"/sandbox2\"}]",
     "[{\"Type\":\"tmpfs\",\"Target\":\"/sandbox2\",\"ReadOnly\":false,\"TmpfsOptions\":{\"Mode\":1023}}]",
     false},
    {"the root", "[{\"type\":\"tmpfs\",\"target\":\"/\"}]", "an absolute path below /", false},
    {"a relative target", "[{\"type\":\"tmpfs\",\"target\":\"t\"}]", "an absolute path below /", false},
    {"dots", "[{\"type\":\"tmpfs\",\"target\":\"/a/../sandbox\"}]", "an absolute path below /", false},
    {"an empty part", "[{\"type\":\"tmpfs\",\"target\":\"/a//b\"}]", "an absolute path below /", false},
    {"a slash behind it", "[{\"type\":\"tmpfs\",\"target\":\"/a/\"}]", "an absolute path below /", false},
    {"dots in a source", "[{\"type\":\"bind\",\"source\":\"/srv/..\",\"target\":\"/a\"}]", "source", true},
    {"a volume's name is no path", "[{\"type\":\"volume\",\"source\":\"/etc\",\"target\":\"/a\"}]",
     "no name of a volume", true},
    {"a tmpfs has no source", "[{\"type\":\"tmpfs\",\"source\":\"x\",\"target\":\"/a\"}]", "has no source",
     false},
    {"sizes are for tmpfs", "[{\"type\":\"volume\",\"source\":\"data\",\"target\":\"/a\",\"size_bytes\":1}]",
     "are for tmpfs", false},
    {"half a byte", "[{\"type\":\"tmpfs\",\"target\":\"/a\",\"size_bytes\":1.5}]", "a whole number", false},
    {"targets do not overlap",
     "[{\"type\":\"tmpfs\",\"target\":\"/a/b\"},{\"type\":\"tmpfs\",\"target\":\"/a\"}]", "overlap", false},
};

static Google__Protobuf__Value pool[256];
static Google__Protobuf__Struct__FieldsEntry entries[256];
static size_t pool_n, entries_n;

static Google__Protobuf__Value *value_of(json_t *j)
{
    static Google__Protobuf__Struct structs[64];
    static Google__Protobuf__ListValue lists[64];
    static Google__Protobuf__Struct__FieldsEntry *fields[256];
    static Google__Protobuf__Value *items[256];
    static size_t structs_n, lists_n, fields_n, items_n;
    if (!j) { // a new row
        pool_n = entries_n = structs_n = lists_n = fields_n = items_n = 0;
        return NULL;
    }
    Google__Protobuf__Value *v = &pool[pool_n++];
    google__protobuf__value__init(v);
    if (json_is_string(j)) {
        v->kind_case = GOOGLE__PROTOBUF__VALUE__KIND_STRING_VALUE;
        v->string_value = (char *)(uintptr_t)json_string_value(j);
    } else if (json_is_number(j)) {
        v->kind_case = GOOGLE__PROTOBUF__VALUE__KIND_NUMBER_VALUE;
        v->number_value = json_number_value(j);
    } else if (json_is_boolean(j)) {
        v->kind_case = GOOGLE__PROTOBUF__VALUE__KIND_BOOL_VALUE;
        v->bool_value = json_is_true(j);
    } else if (json_is_array(j)) {
        size_t first = items_n;
        items_n += json_array_size(j);
        for (size_t i = 0; i < json_array_size(j); i++)
            items[first + i] = value_of(json_array_get(j, i));
        v->kind_case = GOOGLE__PROTOBUF__VALUE__KIND_LIST_VALUE;
        v->list_value = &lists[lists_n++];
        google__protobuf__list_value__init(v->list_value);
        v->list_value->values = &items[first];
        v->list_value->n_values = json_array_size(j);
    } else {
        size_t first = fields_n;
        const char *key;
        json_t *member;
        fields_n += json_object_size(j);
        size_t at = first;
        json_object_foreach(j, key, member)
        {
            Google__Protobuf__Struct__FieldsEntry *e = &entries[entries_n++];
            google__protobuf__struct__fields_entry__init(e);
            e->key = (char *)(uintptr_t)key;
            e->value = value_of(member);
            fields[at++] = e;
        }
        v->kind_case = GOOGLE__PROTOBUF__VALUE__KIND_STRUCT_VALUE;
        v->struct_value = &structs[structs_n++];
        google__protobuf__struct__init(v->struct_value);
        v->struct_value->fields = &fields[first];
        v->struct_value->n_fields = json_object_size(j);
    }
    return v;
}

int main(void)
{
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        json_t *j = json_pack("{s:o}", "mounts", json_loads(rows[i].json, 0, NULL));
        CLEANUP(arena_done) struct arena a;
        struct mounts m = {};
        struct err e = {};
        arena_init(&a, MIB);
        (void)value_of(NULL);
        enum err_code r = mounts_parse(value_of(j)->struct_value, rows[i].bind, &a, &m, &e);
        json_t *out = json_array();
        mounts_json(&m, out);
        char *text = json_dumps(out, JSON_COMPACT);
        bool ok = rows[i].want[0] == '[' ? r == ERR_OK && strcmp(text, rows[i].want) == 0
                                         : r != ERR_OK && strstr(e.msg, rows[i].want);
        if (!tap_ok(ok, "%s", rows[i].rule))
            tap_note("%d %s %s", (int)r, e.msg, text);
        free(text);
        json_decref(out);
        json_decref(j);
    }
    CLEANUP(arena_done) struct arena a;
    struct mounts m = {};
    struct err e = {};
    arena_init(&a, MIB);
    json_t *j = json_loads("{\"cpu\":1}", 0, NULL);
    (void)value_of(NULL);
    tap_ok(mounts_parse(value_of(j)->struct_value, true, &a, &m, &e) == ERR_INVALID && strstr(e.msg, "cpu"),
           "what is no mount is refused by name");
    tap_ok(mounts_parse(NULL, false, &a, &m, &e) == ERR_OK && m.n == 0,
           "without a configuration there are none");
    json_decref(j);
    return tap_done();
}
