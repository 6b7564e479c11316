// args: provider profiles
#include "convert/yaml_message.h"

#include <fcntl.h>

#include "base/fd.h"
#include "openshell.pb-c.h"
#include "tap.h"

static enum err_code read_profile(struct str text, struct arena *a, struct diags *d, ProtobufCMessage **ret,
                                  struct err *e)
{
    const struct yaml_node *root = NULL;
    diags_init(d, a);
    enum err_code r = yaml_parse(text, a, d, &root, e);
    return r == ERR_OK ? message_from_yaml(root, &openshell__v1__provider_profile__descriptor, a, d, ret, e)
                       : r;
}

static const struct {
    const char *rule, *text, *path, *part;
} rows[] = {
    {"an unknown key has a suggestion", "id: x\ncredental: []\n", "credental", "no such key"},
    {"a number is no string", "id: 7\n", "id", "must be a string"},
    {"a word of another list", "category: agents\n", "category", "one of other, inference, agent"},
    {"an enumeration is no number", "category: 1\n", "category", "one of other"},
    {"a string is no list", "credentials: x\n", "credentials", "must be a list"},
    {"a list is no map", "annotations: [a]\n", "annotations", "must be a map"},
    {"a port is a number", "endpoints:\n- port: \"443\"\n", "endpoints[0].port", "whole number"},
    {"a port has 32 bits", "endpoints:\n- port: 4294967296\n", "endpoints[0].port", "whole number"},
    {"no negative version", "resource_version: -1\n", "resource_version", "at least 0"},
    {"true is not 1", "inference_capable: 1\n", "inference_capable", "true or false"},
    {"a document is a map", "- a\n", "", "must be a map"},
};

static void test_errors(void)
{
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        CLEANUP(arena_done) struct arena a;
        struct diags d;
        struct err e = {};
        ProtobufCMessage *m = NULL;
        arena_init(&a, 4 * MIB);
        enum err_code r = read_profile(str_of(rows[i].text), &a, &d, &m, &e);
        bool ok = r == ERR_INVALID && d.n == 1 && str_eq(d.v[0].path, str_of(rows[i].path)) &&
                  strstr(d.v[0].msg.p, rows[i].part) && d.v[0].at.line > 0;
        if (!tap_ok(ok, "%s", rows[i].rule) && d.n > 0)
            tap_note("%.*s: %.*s", STR_FMT(d.v[0].path), STR_FMT(d.v[0].msg));
    }
}

static const char all[] = "id: x\n"
                          "category: source_control\n"
                          "credentials:\n"
                          "- name: key\n"
                          "  env_vars:\n"
                          "  - A\n"
                          "  - B\n"
                          "  required: true\n"
                          "  refresh:\n"
                          "    strategy: oauth2_refresh_token\n"
                          "    refresh_before_seconds: 300\n"
                          "endpoints:\n"
                          "- host: \"*.example.com\"\n"
                          "  port: 443\n"
                          "  rules:\n"
                          "  - allow:\n"
                          "      method: GET\n"
                          "      query:\n"
                          "        a: \"b*\"\n"
                          "        c:\n"
                          "          any:\n"
                          "          - d\n"
                          "  mcp:\n"
                          "    strict_tool_names: false\n"
                          "resource_version: 7\n"
                          "annotations:\n"
                          "  k: \"1\"\n";

static void test_all(void)
{
    CLEANUP(arena_done) struct arena a;
    CLEANUP(buf_done) struct buf out;
    struct diags d;
    struct err e = {};
    ProtobufCMessage *m = NULL;
    arena_init(&a, 4 * MIB);
    buf_init(&out, 64 * KIB);
    enum err_code r = read_profile(str_of(all), &a, &d, &m, &e);
    if (!tap_ok(r == ERR_OK, "a document with each kind of field"))
        return tap_note("%s", e.msg);
    const Openshell__V1__ProviderProfile *p = (const Openshell__V1__ProviderProfile *)(const void *)m;
    assert(p);
    const Openshell__Sandbox__V1__NetworkEndpoint *ep = p->endpoints[0];
    tap_ok(p->category ==
                   OPENSHELL__V1__PROVIDER_PROFILE_CATEGORY__PROVIDER_PROFILE_CATEGORY_SOURCE_CONTROL &&
               p->credentials[0]->n_env_vars == 2 &&
               p->credentials[0]->refresh->refresh_before_seconds == 300,
           "words, lists and numbers");
    tap_ok(ep->rules[0]->allow->n_query == 2 &&
               strcmp(ep->rules[0]->allow->query[0]->value->glob, "b*") == 0 &&
               ep->rules[0]->allow->query[1]->value->n_any == 1,
           "a matcher is a string or a map");
    tap_ok(ep->mcp->_strict_tool_names_case != 0 && !ep->mcp->strict_tool_names,
           "false that was said is not absent");
    message_to_yaml(m, &out);
    if (!tap_ok(str_eq(buf_str(&out), str_of(all)), "writes the same bytes"))
        tap_note("%.*s", (int)out.n, out.p);
}

int main(int argc, char **argv)
{
    test_errors();
    test_all();
    for (int i = 1; i < argc; i++) {
        CLEANUP(arena_done) struct arena a;
        CLEANUP(buf_done) struct buf text;
        CLEANUP(buf_done) struct buf json;
        CLEANUP(fd_close) int fd = open(argv[i], O_RDONLY | O_CLOEXEC);
        struct diags d;
        struct err e = {};
        ProtobufCMessage *m = NULL, *again = NULL;
        arena_init(&a, 8 * MIB);
        buf_init(&text, MIB);
        buf_init(&json, MIB);
        enum err_code r = fd_read_all(fd, MIB, &text, &e);
        if (r == ERR_OK)
            r = read_profile(buf_str(&text), &a, &d, &m, &e);
        const char *name = strrchr(argv[i], '/') ? strrchr(argv[i], '/') + 1 : argv[i];
        if (!tap_ok(r == ERR_OK, "%s is a profile", name)) {
            tap_note("%s", d.n > 0 ? d.v[0].msg.p : e.msg);
            continue;
        }
        message_to_json(m, &json);
        CLEANUP(buf_done) struct buf one;
        CLEANUP(buf_done) struct buf two;
        buf_init(&one, MIB);
        buf_init(&two, MIB);
        r = read_profile(buf_str(&json), &a, &d, &again, &e);
        if (r == ERR_OK) {
            message_to_yaml(m, &one);
            message_to_yaml(again, &two);
        }
        tap_ok(r == ERR_OK && str_eq(buf_str(&one), buf_str(&two)), "%s is the same as JSON", name);
    }
    return tap_done();
}
