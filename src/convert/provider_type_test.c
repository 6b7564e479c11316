#include "convert/provider_type.h"

#include "tap.h"

static const struct row {
    const char *name, *want;
} rows[] = {
    {"claude", "claude-code"},
    {"claude_code", "claude-code"},
    {"claude-code", "claude-code"},
    {"gh", "github"},
    {"glab", "gitlab"},
    {"gcp", "google-cloud"},
    {"vertex", "google-vertex-ai"},
    {"gcp-vertex", "google-vertex-ai"},
    {"Claude", "Claude"},
    {"claude ", "claude "},
    {"", ""},
};

int main(void)
{
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        tap_ok(strcmp(provider_type(rows[i].name), rows[i].want) == 0, "'%s' is '%s'", rows[i].name,
               rows[i].want);
    return tap_done();
}
