#include "gateway/phase.h"

#include "tap.h"

#include "rpc/wire.h"

typedef Openshell__V1__Sandbox Sandbox;
typedef Openshell__Compute__V1__DriverSandbox DriverSandbox;
typedef Openshell__Compute__V1__DriverSandboxStatus DriverStatus;
typedef Openshell__Compute__V1__DriverCondition DriverCondition;

static char *text(const char *s)
{
    return (char *)(uintptr_t)s; // nothing here writes them
}

// A driver's sandbox with one condition; type NULL: none, status NULL: no status.
struct driver_says {
    const char *type, *status, *reason;
    bool deleting, nothing;
};

static void make(const struct driver_says *d, DriverSandbox *s, DriverStatus *st, DriverCondition *c,
                 DriverCondition **list)
{
    openshell__compute__v1__driver_sandbox__init(s);
    openshell__compute__v1__driver_sandbox_status__init(st);
    openshell__compute__v1__driver_condition__init(c);
    st->instance_id = text("instance");
    st->deleting = d->deleting;
    if (d->type) {
        c->type = text(d->type);
        c->status = text(d->status);
        c->reason = text(d->reason);
        list[0] = c;
        st->conditions = list;
        st->n_conditions = 1;
    }
    s->status = d->nothing ? NULL : st;
}

static const struct driver_says up = {"Ready", "True", "BackendReady", false, false},
                                booting = {"Ready", "False", "Starting", false, false},
                                exited = {"Ready", "False", "ContainerExited", false, false},
                                broken = {"Ready", "False", "ImagePullFailed", false, false},
                                suspended = {"Suspended", "True", "Stopped", false, false},
                                going = {"Ready", "True", "x", true, false},
                                none = {NULL, NULL, NULL, false, false},
                                silent = {NULL, NULL, NULL, false, true};

static const struct {
    const struct driver_says *d;
    enum sandbox_phase phase;
    const char *rule;
} backends[] = {
    {&up, PHASE_READY, "Ready is true"},
    {&booting, PHASE_PROVISIONING, "a reason that passes"},
    {&broken, PHASE_ERROR, "any other reason is the end"},
    {&exited, PHASE_ERROR, "and so is an exit"},
    {&suspended, PHASE_STOPPED, "Suspended"},
    {&going, PHASE_DELETING, "deleting comes first"},
    {&none, PHASE_PROVISIONING, "no conditions yet"},
    {&silent, PHASE_UNKNOWN, "no status"},
};

static const struct {
    enum sandbox_phase old;
    const struct driver_says *d;
    bool session, sticky;
    enum sandbox_phase want;
    const char *reason; // of the Ready condition afterwards; NULL: nothing changes
} rows[] = {
    {PHASE_PROVISIONING, &up, true, true, PHASE_READY, "DependenciesReady"},
    {PHASE_PROVISIONING, &up, false, true, PHASE_PROVISIONING, "SupervisorNotConnected"},
    {PHASE_PROVISIONING, &booting, false, true, PHASE_PROVISIONING, "Starting"},
    {PHASE_PROVISIONING, &broken, false, true, PHASE_ERROR, "ImagePullFailed"},
    {PHASE_PROVISIONING, &silent, false, true, PHASE_PROVISIONING, ""},
    {PHASE_READY, &exited, true, true, PHASE_ERROR, "ContainerExited"},
    {PHASE_READY, &booting, false, true, PHASE_PROVISIONING, "Starting"},
    {PHASE_READY, &suspended, false, true, PHASE_STOPPED, "Stopped"},
    {PHASE_READY, &going, true, true, PHASE_DELETING, "x"},
    {PHASE_ERROR, &up, true, true, PHASE_ERROR, NULL},
    {PHASE_DELETING, &up, true, true, PHASE_DELETING, NULL},
    {PHASE_STOPPED, &up, true, true, PHASE_STOPPED, NULL},
    {PHASE_STOPPED, &broken, false, true, PHASE_STOPPED, NULL},
    {PHASE_STOPPING, &up, true, true, PHASE_STOPPING, NULL},
    {PHASE_STOPPING, &booting, false, true, PHASE_STOPPING, NULL},
    {PHASE_STOPPING, &suspended, false, true, PHASE_STOPPED, "Stopped"},
    {PHASE_STOPPING, &exited, false, true, PHASE_STOPPED, "Stopped"},
    {PHASE_STOPPING, &broken, false, true, PHASE_ERROR, "ImagePullFailed"},
    {PHASE_STARTING, &suspended, false, true, PHASE_STARTING, NULL},
    {PHASE_STARTING, &up, false, true, PHASE_STARTING, NULL},
    {PHASE_STARTING, &up, true, true, PHASE_READY, "DependenciesReady"},
    {PHASE_STARTING, &exited, false, true, PHASE_ERROR, "ContainerExited"},
    {PHASE_STOPPING, &up, true, false, PHASE_READY, "DependenciesReady"},
    {PHASE_DELETING, &up, false, false, PHASE_PROVISIONING, "SupervisorNotConnected"},
};

static void init(Sandbox *s, Openshell__Datamodel__V1__ObjectMeta *m, Openshell__V1__SandboxStatus *st,
                 enum sandbox_phase phase)
{
    openshell__v1__sandbox__init(s);
    openshell__datamodel__v1__object_meta__init(m);
    openshell__v1__sandbox_status__init(st);
    st->phase = (Openshell__V1__SandboxPhase)phase;
    m->name = text("name");
    s->metadata = m;
    s->status = st;
}

static const char *ready_reason(const Sandbox *s)
{
    const char *found = "";
    for (size_t i = 0; i < s->status->n_conditions; i++)
        if (strcmp(s->status->conditions[i]->type, "Ready") == 0)
            found = found[0] ? "two of them" : s->status->conditions[i]->reason;
    return found;
}

static void test_apply(struct arena *a)
{
    for (size_t i = 0; i < ARRAY_LEN(backends); i++) {
        DriverSandbox s;
        DriverStatus st;
        DriverCondition c, *list[1];
        make(backends[i].d, &s, &st, &c, list);
        tap_ok(phase_of_driver(s.status) == backends[i].phase, "backend: %s", backends[i].rule);
    }
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct err err = {};
        DriverSandbox d;
        DriverStatus dst;
        DriverCondition c, *list[1];
        Sandbox s;
        Openshell__Datamodel__V1__ObjectMeta m;
        Openshell__V1__SandboxStatus st;
        bool changed = false;
        make(rows[i].d, &d, &dst, &c, list);
        init(&s, &m, &st, rows[i].old);
        enum err_code r = phase_apply(&s, &d, rows[i].session, rows[i].sticky, 5, a, &changed, &err);
        bool ok = r == ERR_OK && phase_of(&s) == rows[i].want && changed == (rows[i].reason != NULL) &&
                  (!rows[i].reason || strcmp(ready_reason(&s), rows[i].reason) == 0);
        if (!tap_ok(ok, "apply: %s, driver %s, %s session%s: %s", phase_name(rows[i].old),
                    rows[i].d->reason ? rows[i].d->reason : "says nothing", rows[i].session ? "a" : "no",
                    rows[i].sticky ? "" : ", whatever was", phase_name(rows[i].want)))
            tap_note("%s %d '%s'", phase_name(phase_of(&s)), changed, ready_reason(&s));
    }
}

static void test_times(struct arena *a)
{
    struct err err = {};
    DriverSandbox d;
    DriverStatus dst;
    DriverCondition c, *list[1];
    Sandbox s;
    Openshell__Datamodel__V1__ObjectMeta m;
    Openshell__V1__SandboxStatus st;
    bool changed = false;
    init(&s, &m, &st, PHASE_PROVISIONING);
    make(&up, &d, &dst, &c, list);
    (void)!phase_apply(&s, &d, false, true, 1000, a, &changed, &err);
    tap_ok(strcmp(s.status->conditions[0]->last_transition_time, "1970-01-01T00:00:01.000Z") == 0 &&
               strcmp(s.status->agent_pod, "instance") == 0,
           "a condition tells when, and the status which instance");
    (void)!phase_apply(&s, &d, false, true, 2000, a, &changed, &err);
    tap_ok(strcmp(s.status->conditions[0]->last_transition_time, "1970-01-01T00:00:01.000Z") == 0,
           "and keeps that while its status stays");
    (void)!phase_apply(&s, &d, true, true, 3000, a, &changed, &err);
    tap_ok(strcmp(s.status->conditions[0]->last_transition_time, "1970-01-01T00:00:03.000Z") == 0,
           "until it changes");
    c.last_transition_time = text("driver's");
    c.status = text("False");
    (void)!phase_apply(&s, &d, false, true, 4000, a, &changed, &err);
    tap_ok(strcmp(s.status->conditions[0]->last_transition_time, "driver's") == 0 &&
               s.status->n_conditions == 1,
           "a driver's own time is taken");
}

static const struct {
    enum sandbox_phase old, connected, disconnected;
} sessions[] = {
    {PHASE_PROVISIONING, PHASE_READY, PHASE_PROVISIONING}, {PHASE_READY, PHASE_READY, PHASE_PROVISIONING},
    {PHASE_STARTING, PHASE_READY, PHASE_STARTING},         {PHASE_ERROR, PHASE_ERROR, PHASE_ERROR},
    {PHASE_DELETING, PHASE_DELETING, PHASE_DELETING},      {PHASE_STOPPING, PHASE_STOPPING, PHASE_STOPPING},
    {PHASE_STOPPED, PHASE_STOPPED, PHASE_STOPPED},
};

static void test_sessions(struct arena *a)
{
    for (size_t i = 0; i < ARRAY_LEN(sessions); i++) {
        struct err err = {};
        Sandbox s;
        Openshell__Datamodel__V1__ObjectMeta m;
        Openshell__V1__SandboxStatus st;
        bool changed = false;
        init(&s, &m, &st, sessions[i].old);
        st._exit_code_case = OPENSHELL__V1__SANDBOX_STATUS___EXIT_CODE_EXIT_CODE;
        enum err_code r = phase_connected(&s, STR("i-2"), 1, a, &changed, &err);
        bool is_ready = sessions[i].connected == PHASE_READY;
        tap_ok(r == ERR_OK && phase_of(&s) == sessions[i].connected && changed == is_ready &&
                   strcmp(s.status->main_process_instance_id, is_ready ? "i-2" : "") == 0 &&
                   (s.status->_exit_code_case == OPENSHELL__V1__SANDBOX_STATUS___EXIT_CODE__NOT_SET) ==
                       is_ready,
               "a session in %s", phase_name(sessions[i].old));
        init(&s, &m, &st, sessions[i].old);
        r = phase_disconnected(&s, 1, a, &changed, &err);
        tap_ok(r == ERR_OK && phase_of(&s) == sessions[i].disconnected &&
                   changed == (sessions[i].old == PHASE_READY),
               "a session lost in %s", phase_name(sessions[i].old));
    }
}

static const struct {
    enum sandbox_phase old;
    const char *recorded, *reported;
    bool taken;
    const char *rule;
} exits[] = {
    {PHASE_READY, "a", "a", true, "the main process ends"},
    {PHASE_READY, "b", "a", false, "one of an earlier start says nothing of this one"},
    {PHASE_PROVISIONING, "a", "a", true, "while the session is away"},
    {PHASE_PROVISIONING, "", "a", true, "before there was any"},
    {PHASE_STARTING, "a", "a", false, "while starting, the recorded one is the one before"},
    {PHASE_STARTING, "a", "b", true, "and the other one is the new one"},
    {PHASE_DELETING, "a", "a", false, "not while deleting"},
    {PHASE_STOPPING, "a", "a", false, "not while stopping"},
    {PHASE_STOPPED, "a", "a", false, "not when stopped"},
    {PHASE_ERROR, "a", "a", true, "what failed may still tell its status"},
};

static void test_exits(struct arena *a)
{
    struct err err = {};
    Sandbox s;
    Openshell__Datamodel__V1__ObjectMeta m;
    Openshell__V1__SandboxStatus st;
    bool changed = false;
    for (size_t i = 0; i < ARRAY_LEN(exits); i++) {
        init(&s, &m, &st, exits[i].old);
        st.main_process_instance_id = text(exits[i].recorded);
        enum err_code r = phase_main_exit(&s, str_of(exits[i].reported), 7, 1, a, &changed, &err);
        bool has = st._exit_code_case == OPENSHELL__V1__SANDBOX_STATUS___EXIT_CODE_EXIT_CODE;
        tap_ok(r == ERR_OK && changed == exits[i].taken && has == exits[i].taken &&
                   (!changed || (st.exit_code == 7 && phase_of(&s) == PHASE_ERROR &&
                                 strcmp(ready_reason(&s), "MainProcessExited") == 0 &&
                                 strcmp(st.main_process_instance_id, exits[i].reported) == 0)),
               "exit: %s", exits[i].rule);
    }
    (void)!phase_main_exit(&s, STR("a"), 8, 1, a, &changed, &err);
    tap_ok(!changed && st.exit_code == 7, "exit: the first status stays");
}

int main(void)
{
    CLEANUP(arena_done) struct arena a;
    arena_init(&a, 4 * MIB);
    test_apply(&a);
    test_times(&a);
    test_sessions(&a);
    test_exits(&a);
    return tap_done();
}
