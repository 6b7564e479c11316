#include "supervisor/egress/model_json.h"

#include "tap.h"

static const struct {
    const char *in, *out, *rule; // out NULL: refused; `rule` ends in the error then
} rows[] = {
    {"{\"model\":\"a\"}", "{\"model\":\"M\"}", "the model is another"},
    {"{ \"messages\" : [ ] , \"model\" : \"a\" , \"n\" : 1 }",
     "{ \"messages\" : [ ] , \"model\" : \"M\" , \"n\" : 1 }", "everything else stays, blanks too"},
    {"{\"messages\":[{\"model\":\"x\"}]}", "{\"model\":\"M\",\"messages\":[{\"model\":\"x\"}]}",
     "one further down is none; it is added"},
    {"{}", "{\"model\":\"M\"}", "added to nothing"},
    {" {\n}\n", " {\"model\":\"M\"\n}\n", "added to blanks"},
    {"{\"model\":null}", "{\"model\":\"M\"}", "whatever it was"},
    {"{\"model\":{\"a\":[1,{}]},\"x\":1}", "{\"model\":\"M\",\"x\":1}", "an object, too"},
    {"{\"mod\\u0065l\":\"a\"}", "{\"mod\\u0065l\":\"M\"}", "an escaped name is the same name"},
    {"{\"Model\":\"a\"}", "{\"model\":\"M\",\"Model\":\"a\"}", "names have one spelling"},
    {"{\"x\":\"\\\"model\\\":1\"}", "{\"model\":\"M\",\"x\":\"\\\"model\\\":1\"}",
     "text in a string is none"},
    {"{\"n\":-1.5e+10,\"t\":true,\"f\":false,\"z\":null,\"u\":\"\\ud83d\\ude00\xc3\xa9\"}",
     "{\"model\":\"M\",\"n\":-1.5e+10,\"t\":true,\"f\":false,\"z\":null,\"u\":\"\\ud83d\\ude00\xc3\xa9\"}",
     "every kind of value"},
    {"{\"model\":\"a\",\"model\":\"b\"}", NULL, "a second \"model\""},
    {"{\"model\":\"a\",\"mode\\u006c\":\"b\"}", NULL, "a second \"model\""},
    {"[]", NULL, "no object"},
    {"", NULL, "no object"},
    {"{\"a\":1,}", NULL, "no name of a member"},
    {"{\"a\":[1,]}", NULL, "no value"},
    {"{\"a\":1}x", NULL, "text behind the object"},
    {"{\"a\":1", NULL, "neither ',' nor '}'"},
    {"{\"a\":[1}", NULL, "neither ',' nor ']'"},
    {"{\"a\":{\"b\":1]}", NULL, "neither ',' nor '}'"},
    {"{\"a\" 1}", NULL, "no ':' behind a name"},
    {"{a:1}", NULL, "no name of a member"},
    {"{\"a\":01}", NULL, "no number"},
    {"{\"a\":1.}", NULL, "no digit behind a point"},
    {"{\"a\":1e}", NULL, "no digit in an exponent"},
    {"{\"a\":-}", NULL, "no number"},
    {"{\"a\":nul}", NULL, "no value"},
    {"{\"a\":\"\\x\"}", NULL, "an unknown escape"},
    {"{\"a\":\"\\u12\"}", NULL, "an escape that is not four hex digits"},
    {"{\"a\":\"\\ud800\"}", NULL, "half of a surrogate pair"},
    {"{\"a\":\"\\udc00\"}", NULL, "half of a surrogate pair"},
    {"{\"a\":\"\n\"}", NULL, "a control byte in a string"},
    {"{\"a\":\"\xff\"}", NULL, "malformed UTF-8"},
    {"{\"a\":\"b", NULL, "a string that does not end"},
    {"{\"a\":", NULL, "it ends early"},
};

static void row(size_t i)
{
    CLEANUP(buf_done) struct buf out;
    struct model_facts f;
    struct err e = {};
    buf_init(&out, 4 * KIB);
    enum err_code r = model_read(str_of(rows[i].in), &f, &e);
    if (r == ERR_OK)
        r = model_write(str_of(rows[i].in), &f, STR("M"), &out, &e);
    bool ok = rows[i].out ? r == ERR_OK && str_eq(buf_str(&out), str_of(rows[i].out))
                          : r == ERR_INVALID && strstr(e.msg, rows[i].rule);
    if (!tap_ok(ok, "%s", rows[i].rule))
        tap_note("%d %s: %.*s", r, e.msg, STR_FMT(buf_str(&out)));
}

static const struct {
    const char *in, *out, *rule;
} vertex[] = {
    {"{\"model\":\"a\",\"max_tokens\":1}", "{\"anthropic_version\":\"vertex-2023-10-16\",\"max_tokens\":1}",
     "the first member goes"},
    {"{\"max_tokens\":1,\"model\":\"a\"}", "{\"anthropic_version\":\"vertex-2023-10-16\",\"max_tokens\":1}",
     "the last one goes, with the comma in front"},
    {"{\"model\":\"a\"}", "{\"anthropic_version\":\"vertex-2023-10-16\"}", "the only one goes"},
    {"{\"context_management\":{},\"model\":\"a\"}", "{\"anthropic_version\":\"vertex-2023-10-16\"}",
     "two neighbours, all there is"},
    {"{\"a\":1,\"context_management\":{},\"model\":\"a\",\"b\":2}",
     "{\"anthropic_version\":\"vertex-2023-10-16\",\"a\":1,\"b\":2}", "two neighbours in the middle"},
    {"{\"anthropic_version\":\"x\",\"a\":1}", "{\"anthropic_version\":\"vertex-2023-10-16\",\"a\":1}",
     "a version that was given is replaced"},
    {"{\"a\":1, \"model\":\"a\", \"anthropic_version\":\"x\" }",
     "{\"anthropic_version\":\"vertex-2023-10-16\",\"a\":1 }", "two neighbours at the end"},
    {"{}", "{\"anthropic_version\":\"vertex-2023-10-16\"}", "nothing at all"},
};

static void vertex_row(size_t i)
{
    CLEANUP(buf_done) struct buf out;
    struct model_facts f;
    struct err e = {};
    buf_init(&out, 4 * KIB);
    enum err_code r = model_read(str_of(vertex[i].in), &f, &e);
    if (r == ERR_OK)
        r = model_write_vertex(str_of(vertex[i].in), &f, &out, &e);
    if (!tap_ok(r == ERR_OK && str_eq(buf_str(&out), str_of(vertex[i].out)), "vertex: %s", vertex[i].rule))
        tap_note("%d %s: %.*s", r, e.msg, STR_FMT(buf_str(&out)));
}

static void facts(void)
{
    struct model_facts f;
    struct err e = {};
    bool ok = model_read(STR("{\"model\":\"gpt-5\",\"stream\":true}"), &f, &e) == ERR_OK;
    tap_ok(ok && f.has_model && strcmp(f.model, "gpt-5") == 0 && f.stream, "model and stream are told");
    ok = model_read(STR("{\"model\":7,\"stream\":\"true\"}"), &f, &e) == ERR_OK;
    tap_ok(ok && f.has_model && f.model[0] == '\0' && !f.stream, "not those that are of another type");
}

static void depth(void)
{
    char text[2 * MODEL_JSON_DEPTH_MAX + 64];
    struct model_facts f;
    struct err e = {};
    for (int over = 0; over < 2; over++) {
        size_t n = 0, levels = MODEL_JSON_DEPTH_MAX - 1 + (size_t)over; // besides the object itself
        n += (size_t)snprintf(text, sizeof(text), "{\"a\":");
        for (size_t i = 0; i < levels; i++)
            text[n++] = '[';
        for (size_t i = 0; i < levels; i++)
            text[n++] = ']';
        text[n++] = '}';
        enum err_code r = model_read((struct str){text, n}, &f, &e);
        tap_ok(over ? r == ERR_INVALID && strstr(e.msg, "nested too deeply") : r == ERR_OK,
               over ? "one level more than the limit" : "as deep as the limit");
    }
}

int main(void)
{
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        row(i);
    for (size_t i = 0; i < ARRAY_LEN(vertex); i++)
        vertex_row(i);
    facts();
    depth();
    return tap_done();
}
