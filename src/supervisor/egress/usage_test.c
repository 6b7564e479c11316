#include "supervisor/egress/usage.h"

#include "tap.h"

#define CHUNK(x) "data: " x "\n\n"

static const struct {
    bool events;
    const char *text;
    bool known;
    uint64_t in, out, cached;
    const char *rule;
} rows[] = {
    {false, "{\"id\":1,\"usage\":{\"prompt_tokens\":12,\"completion_tokens\":34,\"total_tokens\":46}}", true,
     12, 34, 0, "OpenAI, in one piece"},
    {false,
     "{\"usage\":{\"input_tokens\":5,\"output_tokens\":6,\"output_tokens_details\":{\"output_"
     "tokens\":99}}}",
     true, 5, 6, 0, "what is further down does not count"},
    {false,
     "{\"content\":[{\"usage\":{\"input_tokens\":9}}],\"usage\":{\"input_tokens\":1,\"output_"
     "tokens\":2}}",
     true, 1, 2, 0, "nor what is elsewhere"},
    {false,
     "{\"text\":\"\\\"usage\\\":{\\\"input_tokens\\\":9}\",\"usage\":{\"input_tokens\":1,\"output_"
     "tokens\":2}}",
     true, 1, 2, 0, "nor what is text"},
    {false, "{\"usage\":{\"input_tokens\":3,\"cache_read_input_tokens\":70,\"output_tokens\":4}}", true, 3, 4,
     70, "Anthropic's cache is counted by itself"},
    {false, "{\"usage\":null}", false, 0, 0, 0, "no usage"},
    {false, "{\"usage\":{\"input_tokens\":-3,\"output_tokens\":1.5}}", false, 0, 0, 0, "no counts"},
    {false, "{\"usage\":{\"input_tokens\":99999999999999999999}}", false, 0, 0, 0, "more than there are"},
    {false, "[{\"usage\":{\"input_tokens\":3}}]", false, 0, 0, 0, "a list is no response"},
    {false, "not JSON at all }}}]]] {\"usage\":{\"input_tokens\":3}}", false, 0, 0, 0, "no JSON"},
    {true,
     CHUNK("{\"choices\":[],\"usage\":null}") CHUNK("{\"choices\":[],\"usage\":{\"prompt_tokens\":7,"
                                                    "\"completion_tokens\":8}}") CHUNK("[DONE]"),
     true, 7, 8, 0, "OpenAI, as events"},
    {true,
     "event: response.completed\n" CHUNK("{\"type\":\"response.completed\",\"response\":{\"id\":1,\"usage\":"
                                         "{\"input_tokens\":10,\"output_tokens\":20}}}"),
     true, 10, 20, 0, "OpenAI's responses"},
    {true,
     "event: message_start\n" CHUNK(
         "{\"message\":{\"usage\":{\"input_tokens\":25,\"output_tokens\":"
         "1}}}") "event: message_delta\n" CHUNK("{\"delta\":{},\"usage\":{\"output_tokens\":15}}"),
     true, 25, 15, 0, "Anthropic: input first, output last"},
    {true,
     ": comment "
     "{\"usage\":{\"input_tokens\":9}}\r\ndata:{\"usage\":{\"input_tokens\":2,\"output_tokens\":3}}"
     "\r\n",
     true, 2, 3, 0, "CR LF, no blank behind data:, a comment"},
    {true, "datax: {\"usage\":{\"input_tokens\":9}}\n", false, 0, 0, 0, "another field"},
    {true, "data: {\"usage\":{\"input_tokens\":\ndata: 9}}\n", false, 0, 0, 0, "a line is a text of its own"},
};

static void row(size_t i)
{
    struct str text = str_of(rows[i].text);
    bool ok = true;
    for (size_t cut = 0; cut <= text.n && ok; cut++) {
        struct usage u;
        usage_init(&u, rows[i].events);
        usage_feed(&u, str_head(text, cut));
        usage_feed(&u, str_from(text, cut));
        ok = u.known == rows[i].known && u.in == rows[i].in && u.out == rows[i].out &&
             u.cached == rows[i].cached;
        if (!ok)
            tap_note("cut at %zu: %d %llu %llu %llu", cut, u.known, (unsigned long long)u.in,
                     (unsigned long long)u.out, (unsigned long long)u.cached);
    }
    tap_ok(ok, "cut anywhere: %s", rows[i].rule);
}

static void deep(void)
{
    struct usage u;
    usage_init(&u, false);
    for (int i = 0; i < 10 * USAGE_DEPTH_MAX; i++)
        usage_feed(&u, STR("{\"response\":"));
    usage_feed(&u, STR("{\"usage\":{\"input_tokens\":9}}"));
    tap_ok(!u.known, "what is nested without end counts nothing");
}

int main(void)
{
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        row(i);
    deep();
    return tap_done();
}
