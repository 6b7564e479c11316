#include "gateway/sandbox_check.h"

#include "tap.h"

typedef Openshell__V1__CreateSandboxRequest Request;
typedef Openshell__V1__SandboxSpec Spec;
typedef Openshell__V1__SandboxTemplate Template;

enum { MANY = 300, BIG = 70'000 };

static char *text(const char *s)
{
    return (char *)(uintptr_t)s; // nothing here writes them
}

struct world {
    Request req;
    Spec spec;
    Template template;
    char *words[MANY];
    Openshell__V1__SandboxSpec__EnvironmentEntry env[MANY], *envs[MANY];
    Openshell__V1__CreateSandboxRequest__LabelsEntry label[MANY], *labels[MANY];
    Openshell__V1__CreateSandboxRequest__AnnotationsEntry note[MANY], *notes[MANY];
    Openshell__V1__SandboxTemplate__LabelsEntry tlabel[MANY], *tlabels[MANY];
    char names[MANY][16], big[BIG];
};

static void reset(struct world *w)
{
    openshell__v1__create_sandbox_request__init(&w->req);
    openshell__v1__sandbox_spec__init(&w->spec);
    openshell__v1__sandbox_template__init(&w->template);
    w->req.spec = &w->spec;
    w->spec.template_ = &w->template;
    w->spec.command = w->words;
    w->spec.environment = w->envs;
    w->req.labels = w->labels;
    w->req.annotations = w->notes;
    w->template.labels = w->tlabels;
    for (size_t i = 0; i < MANY; i++) {
        (void)snprintf(w->names[i], sizeof(w->names[i]), "n%zu", i);
        openshell__v1__sandbox_spec__environment_entry__init(&w->env[i]);
        openshell__v1__create_sandbox_request__labels_entry__init(&w->label[i]);
        openshell__v1__create_sandbox_request__annotations_entry__init(&w->note[i]);
        openshell__v1__sandbox_template__labels_entry__init(&w->tlabel[i]);
        w->words[i] = w->names[i];
        w->env[i].key = w->label[i].key = w->note[i].key = w->tlabel[i].key = w->names[i];
        w->envs[i] = &w->env[i];
        w->labels[i] = &w->label[i];
        w->notes[i] = &w->note[i];
        w->tlabels[i] = &w->tlabel[i];
    }
    memset(w->big, 'x', sizeof(w->big) - 1);
    w->big[sizeof(w->big) - 1] = '\0';
}

// The last `n` letters of many.
static char *letters(struct world *w, size_t n)
{
    return w->big + sizeof(w->big) - 1 - n;
}

static bool ok(const struct world *w)
{
    CLEANUP(arena_done) struct arena a;
    arena_init(&a, 8 * MIB);
    struct err err = {};
    enum err_code r = sandbox_check(&w->req, &a, &err);
    if (r != ERR_OK && r != ERR_INVALID)
        tap_note("%s: %s", err_code_name(r), err.msg);
    return r == ERR_OK;
}

// `n` is right and one more is not.
#define LIMIT(w, place, n, rule)                                                                             \
    do {                                                                                                     \
        reset(w);                                                                                            \
        (place) = (n);                                                                                       \
        bool fits_ = ok(w);                                                                                  \
        (place)++;                                                                                           \
        tap_ok(fits_ && !ok(w), "%s: at most %d", (rule), (int)(n));                                         \
    } while (0)
#define LETTERS(w, place, n, rule)                                                                           \
    do {                                                                                                     \
        reset(w);                                                                                            \
        (place) = letters((w), (n));                                                                         \
        bool fits_ = ok(w);                                                                                  \
        (place) = letters((w), (n) + 1);                                                                     \
        tap_ok(fits_ && !ok(w), "%s: at most %d", (rule), (int)(n));                                         \
    } while (0)

static void test_limits(struct world *w)
{
    LIMIT(w, w->req.n_labels, 128, "labels");
    LIMIT(w, w->req.n_annotations, 128, "annotations");
    LIMIT(w, w->spec.n_environment, 128, "variables");
    LIMIT(w, w->spec.n_command, 256, "words of the command");
    LIMIT(w, w->template.n_labels, 128, "labels of the template");
    LETTERS(w, w->spec.log_level, 32, "the log level");
    LETTERS(w, w->template.image, 1024, "the image");
    LETTERS(w, w->template.runtime_class_name, 1024, "the runtime class");
    LETTERS(w, w->template.agent_socket, 1024, "the agent's socket");
    LETTERS(w, w->req.name, 19, "the name");
    reset(w);
    w->spec.providers = w->words;
    w->spec.n_providers = 32;
    bool fits = ok(w);
    w->spec.n_providers = 33;
    tap_ok(fits && !ok(w), "providers: at most 32");
    reset(w);
    w->spec.n_command = 1;
    w->words[0] = letters(w, 32 * KIB);
    fits = ok(w);
    w->words[0] = letters(w, 32 * KIB + 1);
    tap_ok(fits && !ok(w), "a word has at most 32 KiB");
    reset(w);
    w->spec.n_command = 9;
    for (size_t i = 0; i < 8; i++)
        w->words[i] = letters(w, 32 * KIB);
    w->words[8] = letters(w, 1);
    tap_ok(!ok(w), "all words together have at most 256 KiB");
    reset(w);
    w->spec.n_environment = 33;
    for (size_t i = 0; i < 33; i++)
        w->env[i].value = letters(w, 8 * KIB - 3);
    tap_ok(!ok(w), "all variables together have at most 256 KiB");
}

static void test_forms(struct world *w)
{
    reset(w);
    tap_ok(ok(w), "a login shell, and nothing else");
    w->req.spec = NULL;
    tap_ok(!ok(w), "a spec is required");
    reset(w);
    w->spec.template_ = NULL;
    tap_ok(ok(w), "a template is not");
    w->req.name = text("Dev");
    tap_ok(!ok(w), "a name");
    reset(w);
    w->spec.n_command = 2;
    w->words[1] = text("");
    tap_ok(ok(w), "a word may be empty");
    w->words[0] = text("");
    tap_ok(!ok(w), "the program may not");
    reset(w);
    w->req.n_labels = 1;
    w->label[0].key = text("a b");
    tap_ok(!ok(w), "a label");
    reset(w);
    w->req.n_annotations = 1;
    w->note[0].value = text("any text\nat all");
    tap_ok(ok(w), "an annotation is any text");
    w->note[0].key = text("a b");
    tap_ok(!ok(w), "under a key");
    reset(w);
    w->spec.n_environment = 1;
    w->env[0].key = text("OPENSHELL_X");
    tap_ok(!ok(w), "a variable");
    reset(w);
    w->template.n_labels = 1;
    w->tlabel[0].key = text("");
    tap_ok(!ok(w), "a label of the template has a key");
    Openshell__V1__ResourceRequirements need = OPENSHELL__V1__RESOURCE_REQUIREMENTS__INIT;
    Openshell__V1__GpuResourceRequirements gpu = OPENSHELL__V1__GPU_RESOURCE_REQUIREMENTS__INIT;
    reset(w);
    w->spec.resource_requirements = &need;
    need.gpu = &gpu;
    tap_ok(ok(w), "a GPU without a count");
    gpu._count_case = OPENSHELL__V1__GPU_RESOURCE_REQUIREMENTS___COUNT_COUNT;
    tap_ok(!ok(w), "but not none of them");
    reset(w);
}

static void test_structs(struct world *w)
{
    Google__Protobuf__Value v = GOOGLE__PROTOBUF__VALUE__INIT;
    Google__Protobuf__Struct__FieldsEntry f = GOOGLE__PROTOBUF__STRUCT__FIELDS_ENTRY__INIT, *fields[] = {&f};
    Google__Protobuf__Struct s = GOOGLE__PROTOBUF__STRUCT__INIT;
    v.kind_case = GOOGLE__PROTOBUF__VALUE__KIND_STRING_VALUE;
    f.key = text("k");
    f.value = &v;
    s.fields = fields;
    s.n_fields = 1;
    reset(w);
    v.string_value = letters(w, 64 * KIB - 20);
    w->template.resources = w->template.driver_config = &s;
    bool fits = ok(w);
    v.string_value = letters(w, 64 * KIB);
    w->template.driver_config = NULL;
    bool resources = !ok(w);
    w->template.resources = NULL;
    w->template.driver_config = &s;
    tap_ok(fits && resources && !ok(w), "resources and driver_config: at most 64 KiB each");
    reset(w);
}

// One rule with one endpoint of that protocol.
static enum err_code with_policy(const char *protocol, struct err *err)
{
    CLEANUP(arena_done) struct arena a;
    arena_init(&a, 8 * MIB);
    Openshell__Sandbox__V1__SandboxPolicy p = OPENSHELL__SANDBOX__V1__SANDBOX_POLICY__INIT;
    Openshell__Sandbox__V1__SandboxPolicy__NetworkPoliciesEntry
        e = OPENSHELL__SANDBOX__V1__SANDBOX_POLICY__NETWORK_POLICIES_ENTRY__INIT,
        *list[] = {&e};
    Openshell__Sandbox__V1__NetworkPolicyRule rule = OPENSHELL__SANDBOX__V1__NETWORK_POLICY_RULE__INIT;
    Openshell__Sandbox__V1__NetworkEndpoint ep = OPENSHELL__SANDBOX__V1__NETWORK_ENDPOINT__INIT,
                                            *eps[] = {&ep};
    Openshell__Sandbox__V1__NetworkBinary b, *bs[] = {&b};
    openshell__sandbox__v1__network_binary__init(&b); // its __INIT names a field that is deprecated
    p.version = 1;
    p.network_policies = list;
    p.n_network_policies = 1;
    e.key = text("web");
    e.value = &rule;
    rule.endpoints = eps;
    rule.n_endpoints = 1;
    rule.binaries = bs;
    rule.n_binaries = 1;
    ep.host = text("api.example.com");
    uint32_t ports[] = {443};
    ep.ports = ports;
    ep.n_ports = 1;
    ep.protocol = text(protocol);
    ep.access = text(protocol[0] ? "read-only" : "");
    b.path = text("/usr/bin/curl");
    return sandbox_check_policy(&p, &a, err);
}

static void test_policy(void)
{
    struct err err = {};
    enum err_code r = with_policy("", &err);
    if (!tap_ok(r == ERR_OK, "a policy"))
        tap_note("%s", err.msg);
    tap_ok(with_policy("rest", &err) == ERR_OK, "with rules for HTTP");
    tap_ok(with_policy("graphql", &err) == ERR_UNSUPPORTED &&
               strstr(err.msg, "protocol 'graphql' is not built yet"),
           "what no sandbox enforces is refused by name");
    tap_ok(with_policy("gopher", &err) == ERR_INVALID, "and what is none, too");
}

int main(void)
{
    static struct world w; // large
    test_forms(&w);
    test_limits(&w);
    test_structs(&w);
    test_policy();
    return tap_done();
}
