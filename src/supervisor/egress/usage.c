#include "supervisor/egress/usage.h"

enum { WHOLE, CONTAINER, USAGE };

static void json_init(struct usage_json *j)
{
    *j = (struct usage_json){.state = USAGE_VALUE};
}

void usage_init(struct usage *u, bool events)
{
    *u = (struct usage){.events = events};
    json_init(&u->json);
}

static bool key_is(const struct usage_json *j, const char *name)
{
    return j->key_n == strlen(name) && memcmp(j->key, name, j->key_n) == 0;
}

static bool in_object(const struct usage_json *j)
{
    return j->depth > 0 && j->kinds[j->depth - 1] == '{';
}

// A level begins that a count may be in.
static void opened(struct usage_json *j, char c)
{
    if (c != '{')
        return;
    bool top = j->inside[WHOLE] && j->levels[WHOLE] == j->depth - 1;
    bool within = j->inside[CONTAINER] && j->levels[CONTAINER] == j->depth - 1;
    int what = -1;
    if (j->depth == 1)
        what = WHOLE;
    else if ((top || within) && key_is(j, "usage"))
        what = USAGE;
    else if (top && (key_is(j, "response") || key_is(j, "message")))
        what = CONTAINER;
    if (what < 0)
        return;
    j->inside[what] = true;
    j->levels[what] = j->depth;
}

static void open_level(struct usage_json *j, char c)
{
    if (j->depth == USAGE_DEPTH_MAX) {
        j->state = USAGE_OVER;
        return;
    }
    j->kinds[j->depth++] = (unsigned char)c;
    opened(j, c);
    j->key_n = 0;
    j->state = c == '{' ? USAGE_KEY : USAGE_VALUE;
}

static void close_level(struct usage_json *j)
{
    if (j->depth == 0) {
        j->state = USAGE_OVER;
        return;
    }
    for (int i = 0; i < 3; i++)
        if (j->inside[i] && j->levels[i] == j->depth)
            j->inside[i] = false;
    j->depth--;
    j->state = USAGE_VALUE;
}

static void most(uint64_t *to, uint64_t n)
{
    if (n > *to)
        *to = n;
}

// A number has ended.
static void counted(struct usage *u)
{
    struct usage_json *j = &u->json;
    if (!j->is_count || !j->inside[USAGE] || j->levels[USAGE] != j->depth)
        return;
    bool in = key_is(j, "prompt_tokens") || key_is(j, "input_tokens");
    bool out = key_is(j, "completion_tokens") || key_is(j, "output_tokens");
    bool cache = key_is(j, "cache_read_input_tokens") || key_is(j, "cache_creation_input_tokens");
    u->known |= in || out;
    if (in)
        most(&u->in, j->number);
    if (out)
        most(&u->out, j->number);
    if (cache)
        most(&u->cached, j->number);
}

static void string_byte(struct usage_json *j, char c)
{
    if (j->state == USAGE_ESCAPE) {
        j->state = USAGE_STRING;
        j->key_n = USAGE_KEY_MAX; // ours have no escapes
    } else if (c == '\\') {
        j->state = USAGE_ESCAPE;
    } else if (c == '"') {
        j->state = USAGE_VALUE; // behind a name: a colon, then its value
    } else if (j->in_key && j->key_n < USAGE_KEY_MAX) {
        j->key[j->key_n++] = c;
    }
}

static void digit(struct usage_json *j, char c)
{
    if (!char_is_digit(c) || j->number >= 1'000'000'000'000'000)
        j->is_count = false;
    else
        j->number = j->number * 10 + (unsigned)(c - '0');
}

static bool is_number_char(char c)
{
    return char_is_digit(c) || c == '.' || c == '-' || c == '+' || c == 'e' || c == 'E';
}

static void value_byte(struct usage_json *j, char c)
{
    switch (c) {
    case '{':
    case '[':
        open_level(j, c);
        break;
    case '}':
    case ']':
        close_level(j);
        break;
    case ',':
        j->state = in_object(j) ? USAGE_KEY : USAGE_VALUE;
        break;
    case '"':
        j->in_key = j->state == USAGE_KEY;
        if (j->in_key)
            j->key_n = 0;
        j->state = USAGE_STRING;
        break;
    default:
        if (char_is_digit(c) || c == '-') {
            j->number = 0;
            j->is_count = true;
            digit(j, c);
            j->state = USAGE_NUMBER;
        }
        break;
    }
}

static void json_byte(struct usage *u, char c)
{
    struct usage_json *j = &u->json;
    switch (j->state) {
    case USAGE_OVER:
        return;
    case USAGE_STRING:
    case USAGE_ESCAPE:
        string_byte(j, c);
        return;
    case USAGE_NUMBER:
        if (is_number_char(c)) {
            digit(j, c);
            return;
        }
        counted(u);
        j->state = USAGE_VALUE;
        break;
    case USAGE_VALUE:
    case USAGE_KEY:
        break;
    }
    value_byte(j, c);
}

static void line_byte(struct usage *u, char c)
{
    static const struct str prefix = STR_INIT("data:");
    if (c == '\n' || c == '\r') {
        u->line = USAGE_LINE_START;
        u->prefix = 0;
        json_init(&u->json); // each event is a text of its own
    } else if (u->line == USAGE_LINE_DATA) {
        json_byte(u, c);
    } else if (u->line == USAGE_LINE_START) {
        if (c != prefix.p[u->prefix])
            u->line = USAGE_LINE_OTHER;
        else if (++u->prefix == prefix.n)
            u->line = USAGE_LINE_DATA;
    }
}

void usage_feed(struct usage *u, struct str bytes)
{
    for (size_t i = 0; i < bytes.n; i++) {
        if (u->events)
            line_byte(u, bytes.p[i]);
        else
            json_byte(u, bytes.p[i]);
    }
}
