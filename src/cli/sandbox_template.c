#include "cli/sandbox_template.h"

#include <stdlib.h>
#include <sys/stat.h>

#define COMMUNITY "ghcr.io/nvidia/openshell-community/sandboxes"

typedef Google__Protobuf__Struct Struct;
typedef Google__Protobuf__Struct__FieldsEntry Field;
typedef Google__Protobuf__Value Value;

static bool names_dockerfile(const char *path)
{
    static const struct str word = STR_INIT("dockerfile");
    struct str s = str_of(path);
    for (size_t i = 0; i + word.n <= s.n; i++)
        if (str_eq_ci((struct str){s.p + i, word.n}, word))
            return true;
    return false;
}

enum err_code sandbox_image(const char *from, struct arena *a, const char **ret, struct err *reterr)
{
    struct str image = {};
    struct stat st;
    bool is_path = from[0] == '/' || from[0] == '~' || strncmp(from, "./", 2) == 0 ||
                   strncmp(from, "../", 3) == 0 || strcmp(from, ".") == 0 || strcmp(from, "..") == 0;
    bool there = stat(from, &st) == 0;
    if (there && (S_ISDIR(st.st_mode) || names_dockerfile(from)))
        return err_set(reterr, ERR_UNSUPPORTED,
                       "building an image from %s is not built yet; build it with the engine and "
                       "name it",
                       from);
    if (is_path || names_dockerfile(from))
        return err_set(reterr, ERR_NOT_FOUND, "%s is no folder with a Dockerfile, and a path is no image",
                       from);
    if (strpbrk(from, "/:.")) {
        *ret = from;
        return ERR_OK;
    }
    const char *own = getenv("OPENSHELL_COMMUNITY_REGISTRY");
    struct str prefix = str_of(own && own[0] ? own : COMMUNITY);
    while (prefix.n > 0 && prefix.p[prefix.n - 1] == '/')
        prefix.n--;
    if (!arena_fmt(a, &image, "%.*s/%s:latest", STR_FMT(prefix), from))
        return arena_limit(a, "an image's name", reterr);
    *ret = image.p;
    return ERR_OK;
}

// {key: text} for each that is there.
static Struct *texts(struct arena *a, const char *const (*pairs)[2], size_t n)
{
    Struct *s = arena_new(a, Struct);
    Field *f = arena_newn(a, Field, n), **list = arena_newn(a, Field *, n);
    Value *v = arena_newn(a, Value, n);
    if (!s || !f || !list || !v)
        return NULL;
    google__protobuf__struct__init(s);
    s->fields = list;
    for (size_t i = 0; i < n; i++) {
        if (!pairs[i][1])
            continue;
        google__protobuf__struct__fields_entry__init(&f[i]);
        google__protobuf__value__init(&v[i]);
        v[i].kind_case = GOOGLE__PROTOBUF__VALUE__KIND_STRING_VALUE;
        v[i].string_value = gateway_text(pairs[i][1]);
        f[i].key = gateway_text(pairs[i][0]);
        f[i].value = &v[i];
        list[s->n_fields++] = &f[i];
    }
    return s;
}

// {"limits": {"cpu": …, "memory": …}}
static Struct *resources(struct arena *a, const char *cpu, const char *memory)
{
    const char *const pairs[][2] = {{"cpu", cpu}, {"memory", memory}};
    static const char *const outer[][2] = {{"limits", ""}};
    Struct *limits = texts(a, pairs, ARRAY_LEN(pairs)), *all = texts(a, outer, 1);
    if (!limits || !all)
        return NULL;
    all->fields[0]->value->kind_case = GOOGLE__PROTOBUF__VALUE__KIND_STRUCT_VALUE;
    all->fields[0]->value->struct_value = limits;
    return all;
}

enum err_code sandbox_template(const char *from, const char *cpu, const char *memory, struct arena *a,
                               Openshell__V1__SandboxTemplate **ret, struct err *reterr)
{
    const char *image = "";
    if (!from && !cpu && !memory)
        return ERR_OK;
    enum err_code r = from ? sandbox_image(from, a, &image, reterr) : ERR_OK;
    if (r != ERR_OK)
        return r;
    Openshell__V1__SandboxTemplate *t = arena_new(a, Openshell__V1__SandboxTemplate);
    if (!t)
        return arena_limit(a, "a template", reterr);
    openshell__v1__sandbox_template__init(t);
    t->image = gateway_text(image);
    if (cpu || memory) {
        t->resources = resources(a, cpu, memory);
        if (!t->resources)
            return arena_limit(a, "a template", reterr);
    }
    *ret = t;
    return ERR_OK;
}
