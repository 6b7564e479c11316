#include "gateway/compute/docker_conf.h"

#include "gateway/compute/container.h"

enum key_type { KEY_TEXT, KEY_PATH, KEY_IMAGE, KEY_PULL, KEY_NUMBER, KEY_BOOL, KEY_UNBUILT };

static const struct key {
    const char *name;
    enum key_type type;
    size_t offset; // in struct docker_config
} keys[] = {
    {"socket_path", KEY_PATH, offsetof(struct docker_config, socket)},
    {"default_image", KEY_IMAGE, offsetof(struct docker_config, default_image)},
    {"image_pull_policy", KEY_PULL, offsetof(struct docker_config, pull)},
    {"sandbox_namespace", KEY_TEXT, offsetof(struct docker_config, namespace)},
    {"network_name", KEY_TEXT, offsetof(struct docker_config, network)},
    {"sandbox_pids_limit", KEY_NUMBER, offsetof(struct docker_config, pids)},
    {"enable_bind_mounts", KEY_BOOL, offsetof(struct docker_config, bind_mounts)},
    {"grpc_endpoint", KEY_UNBUILT, 0}, // supervisors come over a socket that is mounted into their container
    {"supervisor_bin", KEY_UNBUILT, 0},
    {"supervisor_image", KEY_UNBUILT, 0},
    {"guest_tls_ca", KEY_UNBUILT, 0},
    {"guest_tls_cert", KEY_UNBUILT, 0},
    {"guest_tls_key", KEY_UNBUILT, 0},
    {"host_gateway_ip", KEY_UNBUILT, 0},
    {"ssh_socket_path", KEY_UNBUILT, 0},
    {"stop_timeout_secs", KEY_UNBUILT, 0},
    {"health_check_interval_secs", KEY_UNBUILT, 0},
    {"userns", KEY_UNBUILT, 0},
    {"https_proxy", KEY_UNBUILT, 0},
    {"no_proxy", KEY_UNBUILT, 0},
};

static const struct {
    const char *word;
    enum pull_policy policy;
} pulls[] = {
    {"", PULL_IF_MISSING},   {"IfNotPresent", PULL_IF_MISSING}, {"missing", PULL_IF_MISSING},
    {"Always", PULL_ALWAYS}, {"always", PULL_ALWAYS},           {"Never", PULL_NEVER},
    {"never", PULL_NEVER},
};

static enum err_code wrong(const struct toml *t, const char *want, struct err *reterr)
{
    return err_set(reterr, ERR_INVALID, "line %u: %.*s must be %s", t->line, STR_FMT(t->key), want);
}

static enum err_code set_text(const struct toml *t, struct arena *a, const char **ret, struct err *reterr)
{
    struct str copy = {};
    if (t->type != TOML_STRING || memchr(t->text.p ? t->text.p : "", '\0', t->text.n))
        return wrong(t, "a string", reterr);
    if (!arena_dup(a, t->text, &copy))
        return arena_limit(a, "the configuration", reterr);
    *ret = copy.p;
    return ERR_OK;
}

static enum err_code set_pull(const struct toml *t, enum pull_policy *ret, struct err *reterr)
{
    for (size_t i = 0; t->type == TOML_STRING && i < ARRAY_LEN(pulls); i++)
        if (str_eq(t->text, str_of(pulls[i].word))) {
            *ret = pulls[i].policy;
            return ERR_OK;
        }
    return wrong(t, "Always, IfNotPresent or Never", reterr);
}

static enum err_code set(const struct key *k, const struct toml *t, struct arena *a, struct docker_config *c,
                         struct err *reterr)
{
    void *field = (char *)c + k->offset;
    enum err_code r = ERR_OK;
    switch (k->type) {
    case KEY_TEXT:
        return set_text(t, a, field, reterr);
    case KEY_PATH:
        r = set_text(t, a, field, reterr);
        return r == ERR_OK && c->socket[0] != '/' ? wrong(t, "an absolute path", reterr) : r;
    case KEY_IMAGE:
        r = set_text(t, a, field, reterr);
        return r == ERR_OK && !container_is_image(str_of(c->default_image)) ? wrong(t, "an image", reterr)
                                                                            : r;
    case KEY_PULL:
        return set_pull(t, field, reterr);
    case KEY_NUMBER:
        if (t->type != TOML_INT || t->number < 0)
            return wrong(t, "a number of at least 0", reterr);
        *(uint64_t *)field = (uint64_t)t->number;
        return ERR_OK;
    case KEY_BOOL:
        if (t->type != TOML_BOOL)
            return wrong(t, "true or false", reterr);
        *(bool *)field = t->yes;
        return ERR_OK;
    case KEY_UNBUILT:
        break;
    }
    return err_set(reterr, ERR_UNSUPPORTED, "line %u: %.*s is not built yet; leave it out", t->line,
                   STR_FMT(t->key));
}

enum err_code docker_conf(const struct toml *table, bool podman, struct arena *a, struct docker_config *ret,
                          struct err *reterr)
{
    *ret = (struct docker_config){.podman = podman,
                                  .default_image = "",
                                  .namespace = "default",
                                  .pids = CONTAINER_PIDS};
    for (const struct toml *t = table ? table->first : NULL; t; t = t->next) {
        size_t i = 0;
        while (i < ARRAY_LEN(keys) && !str_eq(str_of(keys[i].name), t->key))
            i++;
        if (i == ARRAY_LEN(keys))
            return err_set(reterr, ERR_INVALID, "line %u: '%.*s' is no key of this driver", t->line,
                           STR_FMT(t->key));
        enum err_code r = set(&keys[i], t, a, ret, reterr);
        if (r != ERR_OK)
            return r;
    }
    return ERR_OK;
}
