// Hosts of endpoints: a name, an IP literal, or a wildcard over labels (reference 1.5, host wildcard shape
// rules).
#include "policy/validate_parts.h"

#include "net/host.h"
#include "net/ip.h"

// Suffixes under which anyone may have a name, so that a wildcard over them is a way out. Far from complete:
// the Public Suffix List has thousands; these are the ones that policies meet.
static const struct str open_suffixes[] = {
    STR_INIT("co.uk"),          STR_INIT("org.uk"),          STR_INIT("com.au"),
    STR_INIT("co.jp"),          STR_INIT("co.nz"),           STR_INIT("co.in"),
    STR_INIT("com.br"),         STR_INIT("com.cn"),          STR_INIT("github.io"),
    STR_INIT("gitlab.io"),      STR_INIT("pages.dev"),       STR_INIT("workers.dev"),
    STR_INIT("web.app"),        STR_INIT("firebaseapp.com"), STR_INIT("vercel.app"),
    STR_INIT("netlify.app"),    STR_INIT("herokuapp.com"),   STR_INIT("onrender.com"),
    STR_INIT("fly.dev"),        STR_INIT("ngrok.io"),        STR_INIT("ngrok-free.app"),
    STR_INIT("amazonaws.com"),  STR_INIT("cloudfront.net"),  STR_INIT("azurewebsites.net"),
    STR_INIT("cloudapp.net"),   STR_INIT("windows.net"),     STR_INIT("appspot.com"),
    STR_INIT("googleapis.com"), STR_INIT("run.app"),         STR_INIT("trycloudflare.com"),
};

static size_t label_count(struct str host)
{
    size_t n = 1;
    for (size_t i = 0; i < host.n; i++)
        n += host.p[i] == '.';
    return n;
}

// What is wrong with the bytes of a name, in the words of the one gate for names. Stars stand for a letter
// there.
static void check_name(struct check *c, struct str host)
{
    char plain[HOST_MAX + 2];
    struct host parsed;
    struct err err;
    struct str name = str_head(host, sizeof(plain));
    for (size_t i = 0; i < name.n; i++)
        plain[i] = name.p[i] == '*' ? 'x' : name.p[i];
    name.p = plain;
    if (host_parse(name, &parsed, &err) == ERR_OK)
        return;
    const char *hint = NULL;
    for (size_t i = 0; i < host.n && !hint; i++)
        if ((unsigned char)host.p[i] >= 0x80)
            hint = "write the name as its registry does, beginning with 'xn--'";
    if (!hint && str_has_any(host, "{}"))
        hint = "write one endpoint for each host";
    check_error(c, "host", hint, "host '%.*s': %s", STR_FMT(host), err.msg);
}

// URLs, host:port and the like. True: the mistake was found and said.
static bool check_host_form(struct check *c, struct str host)
{
    ptrdiff_t slash = str_find(host, '/');
    if (slash >= 0 && host_ends_in_number(str_head(host, (size_t)slash))) {
        check_error(c, "host", "ranges of addresses go to `allowed_ips`", "host '%.*s' is a range",
                    STR_FMT(host));
        return true;
    }
    if (slash >= 0) {
        check_error(c, "host", "write only the host name; `path` limits an endpoint to paths",
                    "host '%.*s' is a URL or has a path", STR_FMT(host));
        return true;
    }
    if (str_has(host, '[') || str_has(host, ']')) {
        check_error(c, "host", "write an IPv6 address without brackets; the port goes to `port`",
                    "host '%.*s' has brackets", STR_FMT(host));
        return true;
    }
    ptrdiff_t colon = str_find(host, ':');
    uint64_t port;
    if (colon >= 0 && str_u64(str_from(host, (size_t)colon + 1), UINT16_MAX, &port)) {
        char hint[VALIDATE_HINT_MAX];
        (void)snprintf(hint, sizeof(hint), "write `host: %.*s` and `port: %u`",
                       STR_FMT(str_head(host, (size_t)colon)), (unsigned)port);
        check_error(c, "host", hint, "host '%.*s' has a port", STR_FMT(host));
        return true;
    }
    if (str_ends(host, STR("."))) {
        check_error(c, "host", "leave the final dot out", "host '%.*s' ends with a dot and can never match",
                    STR_FMT(host));
        return true;
    }
    return false;
}

static void check_literal(struct check *c, const struct endpoint *ep, const struct ip *ip)
{
    char text[IP_TEXT_MAX];
    size_t n = ip_format(ip, text);
    if (protocol_is(ep, "tcp"))
        check_error(c, "host", "name the host; the sandbox's own DNS leads it here",
                    "protocol tcp needs a host name, not the IP address '%.*s'", STR_FMT(ep->host));
    if (!str_eq(ep->host, (struct str){text, n})) {
        char hint[VALIDATE_HINT_MAX];
        (void)snprintf(hint, sizeof(hint), "write `host: %s`", text);
        check_error(c, "host", hint, "address '%.*s' is not in its canonical form and can never match",
                    STR_FMT(ep->host));
    }
    if (ip_classify(ip) == IP_BLOCKED)
        check_warning(
            c, "host", NULL,
            "address '%.*s' is loopback, link-local, unspecified or multicast: connections to it are "
            "always refused",
            STR_FMT(ep->host));
}

// Reference 1.5. True: the shape is right.
static bool check_wildcard_shape(struct check *c, struct str host)
{
    const char *hint = "name a domain, as in '*.example.com'";
    if (str_eq(host, STR("*")) || str_eq(host, STR("**"))) {
        check_error(c, "host", hint, "host wildcard '%.*s' matches every host", STR_FMT(host));
        return false;
    }
    struct str rest = host, label;
    for (bool first = true; str_split(&rest, '.', &label); first = false) {
        bool deep = label.n >= 2 && memmem(label.p, label.n, "**", 2);
        if (first && deep && label.n > 2) {
            check_error(c, "host", "write '**.' for any number of labels, or a single '*' within one",
                        "host wildcard '%.*s': '**' must be the whole first label", STR_FMT(host));
            return false;
        }
        if (!first && str_has(label, '*') && !str_eq(label, STR("*"))) {
            check_error(c, "host", "partial wildcards and '**' belong into the first label",
                        "host wildcard '%.*s': in a later label only a whole '*' is allowed", STR_FMT(host));
            return false;
        }
    }
    if (label_count(host) <= 2) {
        check_error(c, "host", "use a wildcard below a registered domain, e.g. `*.example.com`",
                    "TLD wildcard '%.*s' is not allowed", STR_FMT(host));
        return false;
    }
    return true;
}

// The labels behind the last one with a star are all that a wildcard promises.
static void check_wildcard_breadth(struct check *c, struct str host)
{
    struct str fixed = host;
    for (ptrdiff_t star; (star = str_find(fixed, '*')) >= 0;) {
        fixed = str_from(fixed, (size_t)star + 1);
        if (!str_has(fixed, '*')) {
            ptrdiff_t dot = str_find(fixed, '.');
            fixed = dot < 0 ? STR("") : str_from(fixed, (size_t)dot + 1);
        }
    }
    bool open = fixed.n == 0 || label_count(fixed) == 1;
    for (size_t i = 0; i < ARRAY_LEN(open_suffixes) && !open; i++)
        open = str_eq_ci(fixed, open_suffixes[i]);
    if (open)
        check_warning(c, "host", "name the hosts, or a domain that one owner controls",
                      "host wildcard '%.*s' is broad: anyone can have a name that it matches", STR_FMT(host));
}

static void check_special_name(struct check *c, struct str host)
{
    static const struct str local[] = {STR_INIT("localhost"), STR_INIT("metadata.google.internal")};
    for (size_t i = 0; i < ARRAY_LEN(local); i++)
        if (str_eq_ci(host, local[i]))
            check_warning(c, "host", NULL,
                          "host '%.*s' resolves to a loopback or metadata address: connections to it are "
                          "always refused",
                          STR_FMT(host));
}

void check_host(struct check *c, const struct endpoint *ep)
{
    struct str host = ep->host;
    struct ip ip;
    struct err err;
    if (host.n == 0) {
        if (protocol_is(ep, "tcp"))
            check_error(c, "host", NULL, "protocol tcp requires a host");
        else if (ep->allowed_ips.n == 0)
            check_error(c, "host", NULL, "host is required unless allowed_ips is given");
        return;
    }
    if (ip_parse(host, &ip, &err) == ERR_OK)
        check_literal(c, ep, &ip);
    else if (check_host_form(c, host))
        return;
    else if (host_ends_in_number(host))
        check_error(c, "host", "write an address as four decimal numbers; allowed_ips takes ranges",
                    "host '%.*s' is neither a name nor an IP address", STR_FMT(host));
    else if (!str_has(host, '*')) {
        check_name(c, host);
        check_special_name(c, host);
    } else if (check_wildcard_shape(c, host)) {
        check_name(c, host);
        check_wildcard_breadth(c, host);
    }
}
