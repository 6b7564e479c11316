#include "gateway/phase.h"

#include "base/clock.h"

typedef Openshell__V1__Sandbox Sandbox;
typedef Openshell__V1__SandboxCondition Condition;
typedef Openshell__Compute__V1__DriverSandbox DriverSandbox;
typedef Openshell__Compute__V1__DriverSandboxStatus DriverStatus;
typedef Openshell__Compute__V1__DriverCondition DriverCondition;

static const struct phase_step connected = {PHASE_READY, "True", "DependenciesReady",
                                            "Supervisor session connected"},
                               waiting = {PHASE_PROVISIONING, "False", "SupervisorNotConnected",
                                          "Backend ready; waiting for supervisor session"},
                               lost = {PHASE_PROVISIONING, "False", "DependenciesNotReady",
                                       "Supervisor session disconnected"},
                               main_exited = {PHASE_ERROR, "False", "MainProcessExited",
                                              "Canonical main process exited"};
const struct phase_step
    phase_stopping = {PHASE_STOPPING, "False", "Stopping", "Sandbox stop requested"},
    phase_stopped = {PHASE_STOPPED, "False", "Stopped", "Sandbox compute is stopped"},
    phase_starting = {PHASE_STARTING, "False", "Starting", "Sandbox start requested"},
    phase_resource_missing = {PHASE_ERROR, "False", "ComputeResourceMissing",
                              "What the sandbox ran on is gone; delete the sandbox to clean up"},
    phase_backend_missing = {PHASE_ERROR, "False", "BackendResourceMissing",
                             "What the sandbox ran on disappeared while the gateway was not running"};

static char *text(const char *s)
{
    return (char *)(uintptr_t)s; // protobuf-c's strings are char *, and packing only reads them
}

const char *phase_name(enum sandbox_phase phase)
{
    static const char *const names[] = {
        [PHASE_UNSPECIFIED] = "Unspecified",
        [PHASE_PROVISIONING] = "Provisioning",
        [PHASE_READY] = "Ready",
        [PHASE_ERROR] = "Error",
        [PHASE_DELETING] = "Deleting",
        [PHASE_UNKNOWN] = "Unknown",
        [PHASE_STOPPING] = "Stopping",
        [PHASE_STOPPED] = "Stopped",
        [PHASE_STARTING] = "Starting",
    };
    return (size_t)phase < ARRAY_LEN(names) ? names[phase] : "Unknown";
}

enum sandbox_phase phase_of(const Openshell__V1__Sandbox *s)
{
    return s->status ? (enum sandbox_phase)s->status->phase : PHASE_UNSPECIFIED;
}

static bool is_transient(const char *reason)
{
    static const char *const reasons[] = {"ReconcilerError",        "DependenciesNotReady",
                                          "SupervisorNotConnected", "Starting",
                                          "ContainerStarting",      "ContainerCreated",
                                          "HealthCheckStarting",    "InspectFailed"};
    for (size_t i = 0; i < ARRAY_LEN(reasons); i++)
        if (str_eq_ci(str_of(reason), str_of(reasons[i])))
            return true;
    return false;
}

static const DriverCondition *driver_ready(const DriverStatus *st)
{
    for (size_t i = 0; i < st->n_conditions; i++)
        if (strcmp(st->conditions[i]->type, "Ready") == 0)
            return st->conditions[i];
    return NULL;
}

enum sandbox_phase phase_of_driver(const Openshell__Compute__V1__DriverSandboxStatus *st)
{
    if (!st)
        return PHASE_UNKNOWN;
    if (st->deleting)
        return PHASE_DELETING;
    for (size_t i = 0; i < st->n_conditions; i++)
        if (strcmp(st->conditions[i]->type, "Suspended") == 0 &&
            strcmp(st->conditions[i]->status, "True") == 0)
            return PHASE_STOPPED;
    const DriverCondition *ready = driver_ready(st);
    if (ready && strcmp(ready->status, "True") == 0)
        return PHASE_READY;
    if (ready && strcmp(ready->status, "False") == 0 && !is_transient(ready->reason))
        return PHASE_ERROR;
    return PHASE_PROVISIONING;
}

static enum err_code need_status(Sandbox *s, struct arena *a, struct err *reterr)
{
    if (s->status)
        return ERR_OK;
    s->status = arena_new(a, Openshell__V1__SandboxStatus);
    if (!s->status)
        return arena_limit(a, "a status", reterr);
    openshell__v1__sandbox_status__init(s->status);
    s->status->sandbox_name = s->metadata->name;
    return ERR_OK;
}

static Condition *find(const Sandbox *s, const char *type)
{
    for (size_t i = 0; s->status && i < s->status->n_conditions; i++)
        if (strcmp(s->status->conditions[i]->type, type) == 0)
            return s->status->conditions[i];
    return NULL;
}

// A new condition; its time is that of the one before where the status is the same.
static enum err_code make(const Condition *before, const char *type, const struct phase_step *step,
                          int64_t now_ms, struct arena *a, Condition **ret, struct err *reterr)
{
    char now[CLOCK_RFC3339_SIZE];
    struct str time = {};
    clock_rfc3339(now_ms, now);
    Condition *c = arena_new(a, Condition);
    bool same = before && strcmp(before->status, step->status) == 0 && before->last_transition_time[0];
    if (!c || !arena_dup(a, str_of(same ? before->last_transition_time : now), &time))
        return arena_limit(a, "a condition", reterr);
    openshell__v1__sandbox_condition__init(c);
    c->type = text(type);
    c->status = text(step->status);
    c->reason = text(step->reason);
    c->message = text(step->message);
    c->last_transition_time = text(time.p);
    *ret = c;
    return ERR_OK;
}

// The phase, and its Ready condition in the place of the one before, or behind the others.
static enum err_code set(Sandbox *s, const Condition *before, const struct phase_step *step, int64_t now_ms,
                         struct arena *a, struct err *reterr)
{
    Condition *c = NULL;
    enum err_code r = make(before, "Ready", step, now_ms, a, &c, reterr);
    if (r != ERR_OK)
        return r;
    s->status->phase = (Openshell__V1__SandboxPhase)step->phase;
    for (size_t i = 0; i < s->status->n_conditions; i++)
        if (strcmp(s->status->conditions[i]->type, "Ready") == 0) {
            s->status->conditions[i] = c;
            return ERR_OK;
        }
    Condition **list = arena_newn(a, Condition *, s->status->n_conditions + 1);
    if (!list)
        return arena_limit(a, "a condition", reterr);
    for (size_t i = 0; i < s->status->n_conditions; i++)
        list[i] = s->status->conditions[i];
    list[s->status->n_conditions++] = c;
    s->status->conditions = list;
    return ERR_OK;
}

enum err_code phase_set(Openshell__V1__Sandbox *s, const struct phase_step *step, int64_t now_ms,
                        struct arena *a, struct err *reterr)
{
    enum err_code r = need_status(s, a, reterr);
    return r == ERR_OK ? set(s, find(s, "Ready"), step, now_ms, a, reterr) : r;
}

static enum err_code copy_conditions(Sandbox *s, const DriverStatus *st, int64_t now_ms, struct arena *a,
                                     struct err *reterr)
{
    Condition **list = arena_newn(a, Condition *, st->n_conditions);
    if (!list)
        return arena_limit(a, "conditions", reterr);
    for (size_t i = 0; i < st->n_conditions; i++) {
        const DriverCondition *d = st->conditions[i];
        const struct phase_step words = {.status = d->status, .reason = d->reason, .message = d->message};
        enum err_code r = make(find(s, d->type), d->type, &words, now_ms, a, &list[i], reterr);
        if (r != ERR_OK)
            return r;
        if (d->last_transition_time[0])
            list[i]->last_transition_time = d->last_transition_time;
    }
    s->status->conditions = list;
    s->status->n_conditions = st->n_conditions;
    return ERR_OK;
}

// A stopped container says of itself that it has exited, which while stopping is no failure.
static bool confirms_stop(const DriverStatus *st)
{
    const DriverCondition *ready = st ? driver_ready(st) : NULL;
    return ready && strcmp(ready->status, "False") == 0 &&
           (strcmp(ready->reason, "ContainerExited") == 0 || strcmp(ready->reason, "ContainerStopped") == 0);
}

// False: by the rules for snapshots this one changes nothing.
static bool admits(enum sandbox_phase old, const DriverStatus *st, enum sandbox_phase *next)
{
    switch (old) {
    case PHASE_ERROR:
    case PHASE_DELETING:
    case PHASE_STOPPED:
        return false;
    case PHASE_STOPPING:
        if (confirms_stop(st))
            *next = PHASE_STOPPED;
        return *next == PHASE_STOPPED || *next == PHASE_ERROR;
    case PHASE_STARTING:
        return *next == PHASE_READY || *next == PHASE_ERROR;
    case PHASE_UNSPECIFIED:
    case PHASE_PROVISIONING:
    case PHASE_READY:
    case PHASE_UNKNOWN:
    default:
        return true;
    }
}

enum err_code phase_apply(Openshell__V1__Sandbox *s, const Openshell__Compute__V1__DriverSandbox *now,
                          bool session, bool sticky, int64_t now_ms, struct arena *a, bool *ret_changed,
                          struct err *reterr)
{
    const DriverStatus *st = now->status;
    enum sandbox_phase backend = phase_of_driver(st), next = backend, old = phase_of(s);
    if (backend != PHASE_ERROR && backend != PHASE_DELETING && backend != PHASE_STOPPED)
        next = session ? PHASE_READY : PHASE_PROVISIONING;
    *ret_changed = false;
    if (sticky && !admits(old, st, &next))
        return ERR_OK;
    enum err_code r = need_status(s, a, reterr);
    const Condition *before = find(s, "Ready");
    if (r == ERR_OK && st)
        r = copy_conditions(s, st, now_ms, a, reterr);
    if (r != ERR_OK)
        return r;
    s->status->phase = (Openshell__V1__SandboxPhase)next;
    if (st && st->instance_id[0])
        s->status->agent_pod = st->instance_id;
    if (next == PHASE_READY)
        r = set(s, before, &connected, now_ms, a, reterr);
    else if (next == PHASE_PROVISIONING && backend == PHASE_READY)
        r = set(s, before, &waiting, now_ms, a, reterr);
    else if (next == PHASE_STOPPED)
        r = set(s, before, &phase_stopped, now_ms, a, reterr);
    if (r == ERR_OK)
        *ret_changed = true;
    return r;
}

enum err_code phase_connected(Openshell__V1__Sandbox *s, struct str instance_id, int64_t now_ms,
                              struct arena *a, bool *ret_changed, struct err *reterr)
{
    enum sandbox_phase old = phase_of(s);
    struct str id = {};
    *ret_changed = false;
    if (old == PHASE_DELETING || old == PHASE_ERROR || old == PHASE_STOPPING || old == PHASE_STOPPED)
        return ERR_OK;
    enum err_code r = need_status(s, a, reterr);
    if (r == ERR_OK && !arena_dup(a, instance_id, &id))
        r = arena_limit(a, "an id", reterr);
    if (r == ERR_OK)
        r = phase_set(s, &connected, now_ms, a, reterr);
    if (r != ERR_OK)
        return r;
    s->status->main_process_instance_id = text(id.p);
    s->status->_exit_code_case = OPENSHELL__V1__SANDBOX_STATUS___EXIT_CODE__NOT_SET;
    *ret_changed = true;
    return ERR_OK;
}

enum err_code phase_disconnected(Openshell__V1__Sandbox *s, int64_t now_ms, struct arena *a,
                                 bool *ret_changed, struct err *reterr)
{
    *ret_changed = phase_of(s) == PHASE_READY;
    return *ret_changed ? phase_set(s, &lost, now_ms, a, reterr) : ERR_OK;
}

enum err_code phase_main_exit(Openshell__V1__Sandbox *s, struct str instance_id, int32_t exit_code,
                              int64_t now_ms, struct arena *a, bool *ret_changed, struct err *reterr)
{
    enum sandbox_phase old = phase_of(s);
    *ret_changed = false;
    if (!s->status || old == PHASE_DELETING || old == PHASE_STOPPING || old == PHASE_STOPPED)
        return ERR_OK;
    // Of another start? While starting, the one that is recorded is the one before. One that has ended before
    // its session began is recorded nowhere yet.
    struct str recorded = str_of(s->status->main_process_instance_id), id = {};
    bool same = str_eq(instance_id, recorded);
    if (recorded.n > 0 && same == (old == PHASE_STARTING))
        return ERR_OK;
    if (s->status->_exit_code_case == OPENSHELL__V1__SANDBOX_STATUS___EXIT_CODE_EXIT_CODE)
        return ERR_OK;
    if (!arena_dup(a, instance_id, &id))
        return arena_limit(a, "an id", reterr);
    enum err_code r = phase_set(s, &main_exited, now_ms, a, reterr);
    if (r != ERR_OK)
        return r;
    s->status->main_process_instance_id = text(id.p);
    s->status->_exit_code_case = OPENSHELL__V1__SANDBOX_STATUS___EXIT_CODE_EXIT_CODE;
    s->status->exit_code = exit_code;
    *ret_changed = true;
    return ERR_OK;
}
