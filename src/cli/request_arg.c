#include "cli/request_arg.h"

static const struct scheme {
    struct str name;
    uint16_t port;
    bool websocket;
} schemes[] = {
    {STR_INIT("https://"), 443, false},
    {STR_INIT("http://"), 80, false},
    {STR_INIT("wss://"), 443, true},
    {STR_INIT("ws://"), 80, true},
};

static bool is_token_byte(char c) // RFC 9110 section 5.6.2
{
    return char_is_alpha(c) || char_is_digit(c) || (c && strchr("!#$%&'*+-.^_`|~", c));
}

static enum err_code parse_method(struct str in, struct request_arg *r, struct err *reterr)
{
    if (in.n > REQUEST_METHOD_MAX)
        return err_set(reterr, ERR_INVALID, "the method has %zu bytes, %d at most", in.n, REQUEST_METHOD_MAX);
    for (size_t i = 0; i < in.n; i++)
        if (!is_token_byte(in.p[i]))
            return err_set(reterr, ERR_INVALID, "'%.*s' is not a method", STR_FMT(in));
    r->method = in;
    return ERR_OK;
}

static enum err_code parse_host(struct str in, bool bracketed, struct request_arg *r, struct err *reterr)
{
    struct ip ip;
    struct err no_ip;
    bool zone = false;
    if (ip_parse_any(in, &ip, &zone, &no_ip) == ERR_OK) {
        if (zone)
            return err_set(reterr, ERR_INVALID, "host '%.*s': a policy cannot name a zone", STR_FMT(in));
        char text[IP_TEXT_MAX];
        size_t n = ip_format(&ip, text);
        memcpy(r->host, text, n + 1);
        r->is_ip = true;
        return ERR_OK;
    }
    if (bracketed) {
        *reterr = no_ip;
        return err_wrap(reterr, ERR_INVALID, "host '%.*s'", STR_FMT(in));
    }
    struct host host;
    enum err_code code = host_parse(in, &host, reterr);
    if (code != ERR_OK)
        return err_wrap(reterr, code, "host '%.*s'", STR_FMT(in));
    memcpy(r->host, host.b, host.n + 1);
    return ERR_OK;
}

// HOST, HOST:PORT, [IPv6] or [IPv6]:PORT. default_port 0: the port must be there.
static enum err_code parse_authority(struct str in, uint16_t default_port, struct request_arg *r,
                                     struct err *reterr)
{
    if (str_has(in, '@'))
        return err_set(reterr, ERR_INVALID, "a user name or password before '@' is not part of a request");
    bool bracketed = str_starts(in, STR("["));
    ptrdiff_t end = bracketed ? str_find(in, ']') + 1 : str_find(in, ':');
    if (bracketed && end == 0)
        return err_set(reterr, ERR_INVALID, "'[' without ']' in '%.*s'", STR_FMT(in));
    struct str host = end < 0 ? in : str_head(in, (size_t)end), port = str_from(in, host.n);
    if (!bracketed && port.n > 0 && str_has(str_from(port, 1), ':'))
        return err_set(reterr, ERR_INVALID, "an IPv6 address stands in brackets, as in [2001:db8::1]");
    if (host.n == 0)
        return err_set(reterr, ERR_INVALID, "the host is missing");
    enum err_code code = parse_host(host, bracketed, r, reterr);
    if (code != ERR_OK)
        return code;
    if (port.n == 0 && default_port == 0)
        return err_set(reterr, ERR_INVALID, "the port is missing, as in %.*s:443", STR_FMT(host));
    uint64_t number = default_port;
    if (port.n > 0 && (!str_skip(&port, STR(":")) || !str_u64(port, UINT16_MAX, &number) || number == 0))
        return err_set(reterr, ERR_INVALID, "port '%.*s' is not a number from 1 to 65535", STR_FMT(port));
    r->port = (uint16_t)number;
    return ERR_OK;
}

static const struct scheme *find_scheme(struct str *url)
{
    for (size_t i = 0; i < ARRAY_LEN(schemes); i++) {
        if (str_eq_ci(str_head(*url, schemes[i].name.n), schemes[i].name)) { // RFC 3986 section 3.1
            *url = str_from(*url, schemes[i].name.n);
            return &schemes[i];
        }
    }
    return NULL;
}

static enum err_code parse_url(struct str url, struct request_arg *r, struct err *reterr)
{
    const struct scheme *scheme = find_scheme(&url);
    if (!scheme)
        return err_set(reterr, ERR_INVALID, "'%.*s' is not a URL of http, https, ws or wss", STR_FMT(url));
    struct str whole;
    (void)str_split(&url, '#', &whole);
    size_t n = 0;
    while (n < whole.n && whole.p[n] != '/' && whole.p[n] != '?')
        n++;
    enum err_code code = parse_authority(str_head(whole, n), scheme->port, r, reterr);
    if (code != ERR_OK)
        return code;
    struct str rest = str_from(whole, n), path;
    (void)str_split(&rest, '?', &path);
    r->path = path.n > 0 ? path : STR("/"); // RFC 9110 section 4.2.3
    r->query = rest.p ? rest : STR("");
    r->websocket = scheme->websocket;
    return ERR_OK;
}

enum err_code request_arg_parse(struct str in, struct request_arg *ret, struct err *reterr)
{
    if (in.n > REQUEST_TEXT_MAX)
        return err_set(reterr, ERR_INVALID, "the request has %zu bytes, %d at most", in.n, REQUEST_TEXT_MAX);
    struct request_arg r = {};
    struct str rest = str_trim(in), method = {};
    (void)str_split(&rest, ' ', &method);
    struct str target = str_trim(rest);
    for (size_t i = 0; i < target.n; i++)
        if ((unsigned char)target.p[i] <= ' ' || target.p[i] == 0x7f)
            return err_set(reterr, ERR_INVALID, "byte 0x%02x in the middle of '%.*s'",
                           (unsigned char)target.p[i], STR_FMT(target));
    if (method.n == 0 || target.n == 0)
        return err_set(reterr, ERR_INVALID, "a request is 'METHOD URL' or 'CONNECT HOST:PORT'");
    enum err_code code;
    r.connect = str_eq(method, STR("CONNECT"));
    if (r.connect) {
        code = parse_authority(target, 0, &r, reterr);
    } else {
        code = parse_method(method, &r, reterr);
        if (code == ERR_OK)
            code = parse_url(target, &r, reterr);
    }
    if (code == ERR_OK)
        *ret = r;
    return code;
}
