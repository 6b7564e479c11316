// supervisor/egress/usage.h: how many tokens a model says that it took and gave, read off a response on its
// way.
//
// Plain JSON and events (text/event-stream), in the shapes of OpenAI and Anthropic: a member "usage" of the
// whole, of "response" or of "message", with prompt_tokens or input_tokens, and completion_tokens or
// output_tokens. Counts in a stream are totals, so the greatest counts. No memory grows; what is no such
// response counts nothing.
#pragma once
#include "base/base.h"

enum { USAGE_DEPTH_MAX = 64, USAGE_KEY_MAX = 40 };

struct usage_json {                       // one JSON text, byte by byte
    unsigned char kinds[USAGE_DEPTH_MAX]; // '{' or '['
    unsigned depth;
    enum { USAGE_VALUE, USAGE_KEY, USAGE_STRING, USAGE_ESCAPE, USAGE_NUMBER, USAGE_OVER } state;
    bool in_key;        // the string or escape is of a name
    bool inside[3];     // the objects that lead to a usage: the whole, "response" or "message", "usage"
    unsigned levels[3]; // and their depths
    char key[USAGE_KEY_MAX];
    unsigned key_n; // USAGE_KEY_MAX: too long to be one of ours
    uint64_t number;
    bool is_count; // only digits so far
};

struct usage {
    bool events; // text/event-stream
    bool known;  // a count was there
    uint64_t in, out,
        cached; // cached: read from and written to a cache, which Anthropic does not count as input
    struct usage_json json;
    enum { USAGE_LINE_START, USAGE_LINE_DATA, USAGE_LINE_OTHER } line;
    unsigned prefix; // of "data:" that has been seen
};
void usage_init(struct usage *u, bool events) NONNULL;
void usage_feed(struct usage *u, struct str bytes) NONNULL;
