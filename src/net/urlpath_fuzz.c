#include "net/urlpath.h"

static bool is_upper_hex(char c)
{
    return char_is_digit(c) || (c >= 'A' && c <= 'F');
}

static void check_form(struct str path, bool allow)
{
    assert(path.n > 0 && path.n <= URLPATH_MAX && path.p[0] == '/' && path.p[path.n] == '\0');
    for (size_t i = 0; i < path.n; i++) {
        char c = path.p[i];
        assert(char_is_alpha(c) || char_is_digit(c) || (c && strchr("-._~!$&'()*+,=:@/%", c)));
        if (c == '%') {
            assert(path.n - i > 2 && is_upper_hex(path.p[i + 1]) && is_upper_hex(path.p[i + 2]));
            unsigned byte = (unsigned)char_hex(path.p[i + 1]) << 4 | (unsigned)char_hex(path.p[i + 2]);
            assert(byte >= 0x20 && byte != 0x7f && byte != ';' && byte != '.' && byte != 0xc0 &&
                   byte != 0xc1);
            assert(allow || byte != '/');
        }
    }
    struct str rest = path, segment;
    (void)str_split(&rest, '/', &segment);
    assert(segment.n == 0);
    while (str_split(&rest, '/', &segment)) {
        assert(segment.n > 0 || !rest.p); // only behind a trailing slash
        assert(!str_eq(segment, STR(".")) && !str_eq(segment, STR("..")));
        assert(!str_starts(segment, STR("..%2F")) && !str_ends(segment, STR("%2F..")));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char strict_out[URLPATH_MAX + 1], out[URLPATH_MAX + 1], twice[URLPATH_MAX + 1];
    struct str in = {(const char *)data, size}, strict, path, again;
    struct err err;
    bool is_strict = urlpath_canonical(in, false, strict_out, &strict, &err) == ERR_OK;
    if (is_strict)
        check_form(strict, false);
    if (urlpath_canonical(in, true, out, &path, &err) != ERR_OK) {
        assert(!is_strict);
        return 0;
    }
    check_form(path, true);
    assert(!is_strict || str_eq(strict, path)); // allowing %2F changes nothing where there is none
    assert(urlpath_canonical(path, true, twice, &again, &err) == ERR_OK && str_eq(path, again));
    return 0;
}
