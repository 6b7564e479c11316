// gateway/compute/driver.h: what puts a sandbox somewhere. The contract of proto/compute_driver.proto as C
// functions, whether the driver is in this process or behind a socket.
//
// Every call may block and is made on a worker; calls for one sandbox are made one after the other. Messages
// that come back live in the arena.
#pragma once
#include "base/arena.h"
#include "base/base.h"

#include "compute_driver.pb-c.h"

struct driver;

// What a driver says unasked: on any thread; it copies nothing that it is not given for the call.
struct driver_events {
    void (*changed)(void *ctx, const Openshell__Compute__V1__DriverSandbox *now);
    void (*deleted)(void *ctx, struct str sandbox_id);
    void (*event)(void *ctx, struct str sandbox_id, const Openshell__Compute__V1__DriverPlatformEvent *event);
    void *ctx;
};

struct driver_ops {
    enum err_code (*capabilities)(struct driver *d, struct arena *a,
                                  Openshell__Compute__V1__GetCapabilitiesResponse **ret, struct err *reterr);
    // ERR_INVALID, ERR_PRECONDITION: what `create` would refuse, before anything is stored.
    enum err_code (*validate)(struct driver *d, const Openshell__Compute__V1__DriverSandbox *sandbox,
                              struct err *reterr);
    // Returns when provisioning has begun; what becomes of it is told by events.
    enum err_code (*create)(struct driver *d, const Openshell__Compute__V1__DriverSandbox *sandbox,
                            struct err *reterr);
    enum err_code (*stop)(struct driver *d, struct str id, struct str name, struct err *reterr);
    enum err_code (*start)(struct driver *d, const Openshell__Compute__V1__DriverSandbox *sandbox,
                           struct err *reterr);
    // *ret_was: there was something to delete. Returns when nothing of it is left.
    enum err_code (*remove)(struct driver *d, struct str id, struct str name, bool *ret_was,
                            struct err *reterr);
    enum err_code (*get)(struct driver *d, struct str id, struct arena *a,
                         Openshell__Compute__V1__DriverSandbox **ret, struct err *reterr);
    enum err_code (*list)(struct driver *d, struct arena *a, Openshell__Compute__V1__DriverSandbox ***ret,
                          size_t *ret_n, struct err *reterr);
    void (*watch)(struct driver *d, const struct driver_events *events); // from now on; once
    void (*free)(struct driver *d);
};

// A driver's own struct begins with this.
struct driver {
    const struct driver_ops *ops;
    const char *name;       // "local", "docker", …
    bool manages_lifecycle; // its sandboxes are stopped when the gateway ends, and started when it starts
};

// Where sandboxes find the gateway, and what they run; for the drivers of this process.
struct driver_env {
    const char *endpoint;  // as the supervisor dials it: "unix:///run/…/gateway.sock", "https://…"
    const char *program;   // openshell-sandbox
    const char *state_dir; // the driver's own folder, 0700
    struct log *log;
};
