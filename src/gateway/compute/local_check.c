#include "gateway/compute/local_internal.h"

#include "gateway/compute/quantity.h"

typedef Openshell__Compute__V1__DriverSandbox DriverSandbox;

static enum err_code no(const char *what, struct err *reterr)
{
    return err_set(reterr, ERR_UNSUPPORTED, "driver 'local' has no %s", what);
}

enum err_code local_limits(const DriverSandbox *s, struct local_limits *ret, struct err *reterr)
{
    const Openshell__Compute__V1__DriverSandboxTemplate *t = s->spec ? s->spec->template_ : NULL;
    const Openshell__Compute__V1__DriverResourceRequirements *r = t ? t->resources : NULL;
    struct local_limits l = {};
    if (r && r->cpu_limit[0] && !quantity_cpu_milli(str_of(r->cpu_limit), &l.cpu_milli))
        return err_set(reterr, ERR_INVALID, "resources.limits.cpu '%.*s': an amount as in 2, 1.5 or 500m",
                       STR_FMT(str_of(r->cpu_limit)));
    if (r && r->memory_limit[0] && !quantity_bytes(str_of(r->memory_limit), &l.memory))
        return err_set(reterr, ERR_INVALID, "resources.limits.memory '%.*s': an amount as in 512Mi or 2Gi",
                       STR_FMT(str_of(r->memory_limit)));
    *ret = l;
    return ERR_OK;
}

static enum err_code check_template(const Openshell__Compute__V1__DriverSandboxTemplate *t,
                                    struct err *reterr)
{
    if (t->image[0])
        return no("images: a sandbox sees this machine's own files", reterr);
    if (t->agent_socket_path[0])
        return no("agent_socket", reterr);
    if (t->n_labels > 0)
        return no("labels of a template; labels of the sandbox itself are kept", reterr);
    if (t->resources && (t->resources->cpu_request[0] || t->resources->memory_request[0]))
        return no("resources.requests, only limits", reterr);
    if (t->platform_config && t->platform_config->n_fields > 0)
        return err_set(reterr, ERR_UNSUPPORTED, "driver 'local' has no %.*s in a template",
                       STR_FMT(str_of(t->platform_config->fields[0]->key)));
    if (t->driver_config && t->driver_config->n_fields > 0)
        return err_set(reterr, ERR_INVALID, "template.driver_config.local: there is no setting '%.*s'",
                       STR_FMT(str_of(t->driver_config->fields[0]->key)));
    return ERR_OK;
}

enum err_code local_check(const DriverSandbox *s, struct err *reterr)
{
    struct local_limits ignored;
    if (!s->spec)
        return err_set(reterr, ERR_INVALID, "spec is required");
    if (s->spec->resource_requirements && s->spec->resource_requirements->gpu)
        return no("GPUs", reterr);
    enum err_code r = s->spec->template_ ? check_template(s->spec->template_, reterr) : ERR_OK;
    return r == ERR_OK ? local_limits(s, &ignored, reterr) : r;
}
