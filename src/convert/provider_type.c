#include "convert/provider_type.h"

const char *provider_type(const char *name)
{
    static const char *const aliases[][2] = {
        {"claude", "claude-code"},
        {"claude_code", "claude-code"},
        {"vertex", "google-vertex-ai"},
        {"vertex-ai", "google-vertex-ai"},
        {"google-vertex", "google-vertex-ai"},
        {"gcp-vertex", "google-vertex-ai"},
        {"gcp", "google-cloud"},
        {"glab", "gitlab"},
        {"gh", "github"},
    };
    for (size_t i = 0; i < ARRAY_LEN(aliases); i++)
        if (strcmp(name, aliases[i][0]) == 0)
            return aliases[i][1];
    return name;
}
