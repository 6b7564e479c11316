#include "cli/sandbox_template.h"

#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tap.h"

static const struct {
    const char *from, *want; // an image, or a part of the error
    bool fails;
} rows[] = {
    {"python", "ghcr.io/nvidia/openshell-community/sandboxes/python:latest", false},
    {"debian:12", "debian:12", false},
    {"ghcr.io/o/n", "ghcr.io/o/n", false},
    {"a.b", "a.b", false},
    {"./none", "no folder with a Dockerfile", true},
    {"/none", "no folder with a Dockerfile", true},
    {"~/x", "no folder with a Dockerfile", true},
    {"Dockerfile.dev", "no folder with a Dockerfile", true},
    {".", "building an image", true},
};

int main(void)
{
    CLEANUP(arena_done) struct arena a;
    struct err e = {};
    const char *image = NULL;
    arena_init(&a, MIB);
    (void)unsetenv("OPENSHELL_COMMUNITY_REGISTRY");
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        enum err_code r = sandbox_image(rows[i].from, &a, &image, &e);
        bool ok = rows[i].fails ? r != ERR_OK && strstr(e.msg, rows[i].want)
                                : r == ERR_OK && strcmp(image, rows[i].want) == 0;
        if (!tap_ok(ok, "--from %s", rows[i].from))
            tap_note("%s %s", image ? image : "", e.msg);
    }
    (void)setenv("OPENSHELL_COMMUNITY_REGISTRY", "reg.test/x/", 1);
    tap_ok(sandbox_image("base", &a, &image, &e) == ERR_OK && strcmp(image, "reg.test/x/base:latest") == 0,
           "community images come from where one says");
    Openshell__V1__SandboxTemplate *t = NULL;
    tap_ok(sandbox_template(NULL, NULL, NULL, &a, &t, &e) == ERR_OK && !t, "nothing said is no template");
    tap_ok(sandbox_template(NULL, "1.5", NULL, &a, &t, &e) == ERR_OK && t && t->image[0] == '\0' &&
               strcmp(t->resources->fields[0]->key, "limits") == 0 &&
               t->resources->fields[0]->value->struct_value->n_fields == 1,
           "limits alone");
    return tap_done();
}
