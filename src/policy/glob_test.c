#include "policy/glob.h"

#include "policy/globseq.h"
#include "alloc_fail.h"
#include "tap.h"

#define A16   "aaaaaaaaaaaaaaaa"
#define A256  A16 A16 A16 A16 A16 A16 A16 A16 A16 A16 A16 A16 A16 A16 A16 A16
#define A4096 A256 A256 A256 A256 A256 A256 A256 A256 A256 A256 A256 A256 A256 A256 A256 A256
#define B4    "{a,b}{a,b}{a,b}{a,b}"

static const char *const names[] = {"host", "selector", "path", "dotted", "scope"};

static const struct {
    enum glob_dialect dialect;
    struct str pattern, text;
    bool want;
    const char *rule;
} rows[] = {
    {GLOB_HOST, STR_INIT("api.example.com"), STR_INIT("api.example.com"), true, "no star: equality"},
    {GLOB_HOST, STR_INIT("API.Example.com"), STR_INIT("api.EXAMPLE.com"), true, "case does not count"},
    {GLOB_HOST, STR_INIT("api.example.com"), STR_INIT("apo.example.com"), false, "no star: nothing else"},
    {GLOB_HOST, STR_INIT("api.example.com"), STR_INIT("api.example.com.evil"), false, "not a prefix"},
    {GLOB_HOST, STR_INIT("10.0.0.1"), STR_INIT("10.0.0.1"), true, "a literal address has itself"},
    {GLOB_HOST, STR_INIT("::1"), STR_INIT("::1"), true, "an IPv6 address has itself"},
    {GLOB_HOST, STR_INIT("*.example.com"), STR_INIT("a.example.com"), true, "a star is one label"},
    {GLOB_HOST, STR_INIT("*.Example.com"), STR_INIT("A.eXample.com"), true,
     "case does not count beside a star"},
    {GLOB_HOST, STR_INIT("*.example.com"), STR_INIT("example.com"), false, "a star is not the apex"},
    {GLOB_HOST, STR_INIT("*.example.com"), STR_INIT("a.b.example.com"), false, "a star is not two labels"},
    {GLOB_HOST, STR_INIT("*.example.com"), STR_INIT("evilexample.com"), false, "a suffix is not a label"},
    {GLOB_HOST, STR_INIT("*.example.com"), STR_INIT(".example.com"), false, "a label is not empty"},
    {GLOB_HOST, STR_INIT("**.example.com"), STR_INIT("a.example.com"), true, "two stars: one label"},
    {GLOB_HOST, STR_INIT("**.example.com"), STR_INIT("a.b.example.com"), true, "two stars: more labels"},
    {GLOB_HOST, STR_INIT("**.example.com"), STR_INIT("example.com"), false, "two stars: not the apex"},
    {GLOB_HOST, STR_INIT("**.example.com"), STR_INIT("a..example.com"), false, "two stars: no empty label"},
    {GLOB_HOST, STR_INIT("**.example.com"), STR_INIT("a.example.com."), false, "no root dot"},
    {GLOB_HOST, STR_INIT("**.example.com"), STR_INIT(A256 ".example.com"), false, "no name is that long"},
    {GLOB_HOST, STR_INIT("*-ai.example.com"), STR_INIT("us-ai.example.com"), true, "a star within a label"},
    {GLOB_HOST, STR_INIT("*-ai.example.com"), STR_INIT("-ai.example.com"), true,
     "a partial star may be empty"},
    {GLOB_HOST, STR_INIT("*-ai.example.com"), STR_INIT("a.b-ai.example.com"), false, "it stays in the label"},
    {GLOB_HOST, STR_INIT("a*b*c.example.com"), STR_INIT("axbxbc.example.com"), true, "several in a label"},
    {GLOB_HOST, STR_INIT("api.*.com"), STR_INIT("api.x.com"), true, "a later label can be a star"},
    {GLOB_HOST, STR_INIT("api.*.com"), STR_INIT("api.x.y.com"), false, "and is one label"},
    {GLOB_HOST, STR_INIT("a.b.*"), STR_INIT("a.b.com"), true, "the last label can be a star"},
    {GLOB_HOST, STR_INIT("10.0.0.*"), STR_INIT("10.0.0.1"), false, "a wildcard has no IPv4 address"},
    {GLOB_HOST, STR_INIT("**.b.c"), STR_INIT("::a.b.c"), false, "nor what has a colon"},
    {GLOB_HOST, STR_INIT("10.0.0.*"), STR_INIT("10.0.0.x1"), true, "unless its last label is a name"},

    {GLOB_SELECTOR, STR_INIT("**"), STR_INIT("a.b.c"), true, "two stars alone: every host"},
    {GLOB_SELECTOR, STR_INIT("**"), STR_INIT("10.0.0.1"), true, "a selector may cover addresses"},
    {GLOB_SELECTOR, STR_INIT("**"), STR_INIT("::1"), true, "of both kinds"},
    {GLOB_SELECTOR, STR_INIT("::1"), STR_INIT("::1"), true, "or be one"},
    {GLOB_SELECTOR, STR_INIT("**"), STR_INIT(""), false, "the empty name is no host"},
    {GLOB_SELECTOR, STR_INIT("**"), STR_INIT("a."), false, "nor is one with an empty label"},
    {GLOB_SELECTOR, STR_INIT("*"), STR_INIT("localhost"), true, "a star alone: one label"},
    {GLOB_SELECTOR, STR_INIT("*"), STR_INIT("a.b"), false, "and not two"},
    {GLOB_SELECTOR, STR_INIT("a.**.z"), STR_INIT("a.b.c.z"), true, "two stars anywhere"},
    {GLOB_SELECTOR, STR_INIT("a.**.z"), STR_INIT("a.z"), false, "take at least one label"},
    {GLOB_SELECTOR, STR_INIT("a.b*d.Z"), STR_INIT("A.bcd.z"), true, "a star in any label, without case"},
    {GLOB_SELECTOR, STR_INIT("a.**"), STR_INIT("a.b.c"), true, "two stars at the end"},
    {GLOB_SELECTOR, STR_INIT("*.com"), STR_INIT("a.com"), true, "two labels are enough"},

    {GLOB_PATH, STR_INIT(""), STR_INIT(""), true, "the empty pattern is the empty text"},
    {GLOB_PATH, STR_INIT(""), STR_INIT("/"), false, "and nothing else"},
    {GLOB_PATH, STR_INIT("**"), STR_INIT(""), true, "two stars alone: everything, nothing too"},
    {GLOB_PATH, STR_INIT("**"), STR_INIT("/a/b"), true, "two stars alone: across slashes"},
    {GLOB_PATH, STR_INIT("**/"), STR_INIT("/a/b"), true, "so is it with a slash"},
    {GLOB_PATH, STR_INIT("**/**"), STR_INIT("a"), true, "and doubled"},
    {GLOB_PATH, STR_INIT("/repos/**"), STR_INIT("/repos"), false, "a recursive end is not its parent"},
    {GLOB_PATH, STR_INIT("/repos/**"), STR_INIT("/repos/"), true, "but that with a slash"},
    {GLOB_PATH, STR_INIT("/repos/**"), STR_INIT("/repos/a/b"), true, "and all below"},
    {GLOB_PATH, STR_INIT("/repos/**"), STR_INIT("/reposx/a"), false, "from a slash on"},
    {GLOB_PATH, STR_INIT("/a/**/b"), STR_INIT("/a/b"), true, "in the middle: no component"},
    {GLOB_PATH, STR_INIT("/a/**/b"), STR_INIT("/a/x/y/b"), true, "in the middle: several"},
    {GLOB_PATH, STR_INIT("/a/**/b"), STR_INIT("/ab"), false, "in the middle: with their slashes"},
    {GLOB_PATH, STR_INIT("/a/**/b"), STR_INIT("/a/xb"), false, "in the middle: whole ones"},
    {GLOB_PATH, STR_INIT("/a/**/**/b"), STR_INIT("/a/b"), true, "in the middle: twice is once"},
    {GLOB_PATH, STR_INIT("/a/**/**"), STR_INIT("/a/b"), true, "twice at the end is once"},
    {GLOB_PATH, STR_INIT("**/a"), STR_INIT("a"), true, "in front: no component"},
    {GLOB_PATH, STR_INIT("**/a"), STR_INIT("/a"), true, "in front: the root"},
    {GLOB_PATH, STR_INIT("**/a"), STR_INIT("/x/y/a"), true, "in front: several"},
    {GLOB_PATH, STR_INIT("**/a"), STR_INIT("xa"), false, "in front: whole ones"},
    {GLOB_PATH, STR_INIT("/a**"), STR_INIT("/abc"), true, "glued to text: any run"},
    {GLOB_PATH, STR_INIT("/a**"), STR_INIT("/a/b"), false, "glued to text: not across a slash"},
    {GLOB_PATH, STR_INIT("/**a"), STR_INIT("/x/a"), false, "glued in front: neither"},
    {GLOB_PATH, STR_INIT("/***"), STR_INIT("/x/a"), false, "three stars are glued"},
    {GLOB_PATH, STR_INIT("/*"), STR_INIT("/"), true, "a star may be nothing"},
    {GLOB_PATH, STR_INIT("/*"), STR_INIT("/a/b"), false, "a star stays in its component"},
    {GLOB_PATH, STR_INIT("/usr/bin/*"), STR_INIT("/usr/bin/x"), true, "binaries: one level"},
    {GLOB_PATH, STR_INIT("/usr/bin/*"), STR_INIT("/usr/bin/x/y"), false, "binaries: only one"},
    {GLOB_PATH, STR_INIT("/usr/**"), STR_INIT("/usr/bin/x/y"), true, "binaries: deep"},
    {GLOB_PATH, STR_INIT("/a?c"), STR_INIT("/abc"), true, "a question mark is one byte"},
    {GLOB_PATH, STR_INIT("/a?c"), STR_INIT("/ac"), false, "not none"},
    {GLOB_PATH, STR_INIT("/a?c"), STR_INIT("/a/c"), false, "and no slash"},
    {GLOB_PATH, STR_INIT("?"), STR_INIT("\xc3\xa9"), false, "and not two bytes"},
    {GLOB_PATH, STR_INIT("??"), STR_INIT("\xc3\xa9"), true, "which are two"},
    {GLOB_PATH, STR_INIT("[abc]"), STR_INIT("b"), true, "a class has its members"},
    {GLOB_PATH, STR_INIT("[abc]"), STR_INIT("d"), false, "and no others"},
    {GLOB_PATH, STR_INIT("[a-c]"), STR_INIT("b"), true, "a range has what is between"},
    {GLOB_PATH, STR_INIT("[a-c]"), STR_INIT("c"), true, "and its end"},
    {GLOB_PATH, STR_INIT("[a-c]"), STR_INIT("-"), false, "but no hyphen"},
    {GLOB_PATH, STR_INIT("[!x]"), STR_INIT("y"), true, "'!' turns a class round"},
    {GLOB_PATH, STR_INIT("[!x]"), STR_INIT("x"), false, "'!' leaves its members out"},
    {GLOB_PATH, STR_INIT("[^x]"), STR_INIT("y"), true, "'^' does as well"},
    {GLOB_PATH, STR_INIT("[^x]"), STR_INIT("x"), false, "'^' leaves its members out"},
    {GLOB_PATH, STR_INIT("[!x]"), STR_INIT("/"), false, "no class has the slash"},
    {GLOB_PATH, STR_INIT("[/]"), STR_INIT("/"), false, "even if it names it"},
    {GLOB_PATH, STR_INIT("[]]"), STR_INIT("]"), true, "a first ']' is a member"},
    {GLOB_PATH, STR_INIT("[!]]"), STR_INIT("]"), false, "also behind '!'"},
    {GLOB_PATH, STR_INIT("[-a]"), STR_INIT("-"), true, "a first '-' is a member"},
    {GLOB_PATH, STR_INIT("[a-]"), STR_INIT("-"), true, "a last one too"},
    {GLOB_PATH, STR_INIT("[--0]"), STR_INIT("."), true, "or the start of a range"},
    {GLOB_PATH, STR_INIT("[a-c-e]"), STR_INIT("d"), true, "a second '-' lengthens the range"},
    {GLOB_PATH, STR_INIT("[\\]"), STR_INIT("\\"), true, "a class has no escapes"},
    {GLOB_PATH, STR_INIT("[a][b]"), STR_INIT("ab"), true, "two classes"},
    {GLOB_PATH, STR_INIT("[\xc3\xa9]"), STR_INIT("\xa9"), true, "classes are sets of bytes"},
    {GLOB_PATH, STR_INIT("{a,b}c"), STR_INIT("bc"), true, "braces: either"},
    {GLOB_PATH, STR_INIT("{a,b}c"), STR_INIT("cc"), false, "braces: nothing else"},
    {GLOB_PATH, STR_INIT("{{a,b},c}"), STR_INIT("b"), true, "braces: nested and nothing else"},
    {GLOB_PATH, STR_INIT("{a,{b,c}d}"), STR_INIT("cd"), true, "braces: nested"},
    {GLOB_PATH, STR_INIT("{a,{b,c}d}"), STR_INIT("ad"), false, "braces: of their branch only"},
    {GLOB_PATH, STR_INIT("{a,b}{c,d}"), STR_INIT("bc"), true, "braces: each with each"},
    {GLOB_PATH, STR_INIT("x{,a}"), STR_INIT("x"), false, "an empty branch does not count"},
    {GLOB_PATH, STR_INIT("x{}"), STR_INIT("x"), true, "empty braces are nothing"},
    {GLOB_PATH, STR_INIT("x{{},a}"), STR_INIT("x"), false, "and an empty branch as well"},
    {GLOB_PATH, STR_INIT("a,b"), STR_INIT("a,b"), true, "a comma outside is itself"},
    {GLOB_PATH, STR_INIT("/{a/b,c}/d"), STR_INIT("/a/b/d"), true, "a slash within braces"},
    {GLOB_PATH, STR_INIT("{/a/**,/b}"), STR_INIT("/a/x/y"), true, "a recursive end within braces"},
    {GLOB_PATH, STR_INIT("{/a/**,/b}"), STR_INIT("/b/x"), false, "of its branch only"},
    {GLOB_PATH, STR_INIT("/a/{**/b,c}"), STR_INIT("/a/x/b"), true, "a recursive start within braces"},
    {GLOB_PATH, STR_INIT("/a/{**/b,c}"), STR_INIT("/a/b"), true, "may be nothing"},
    {GLOB_PATH, STR_INIT("/a/{**,c}"), STR_INIT("/a/x/b"), false, "alone in a brace it is glued"},
    {GLOB_PATH, STR_INIT("{a/,b}**"), STR_INIT("a/x/y"), false, "so is it behind one"},
    {GLOB_PATH, STR_INIT("\\*"), STR_INIT("*"), true, "an escaped star is itself"},
    {GLOB_PATH, STR_INIT("\\*"), STR_INIT("a"), false, "and no wildcard"},
    {GLOB_PATH, STR_INIT("\\{a\\,b\\}\\\\"), STR_INIT("{a,b}\\"), true, "braces, commas, backslashes too"},
    {GLOB_PATH, STR_INIT("/Repos"), STR_INIT("/repos"), false, "case counts"},
    {GLOB_PATH, STR_INIT("/a\0b"), STR_INIT("/a"), false, "a NUL is a byte"},
    {GLOB_PATH, STR_INIT(A4096), STR_INIT(A4096), true, "4096 bytes"},
    {GLOB_PATH, STR_INIT(B4 B4), STR_INIT("abababab"), true, "256 alternatives"},

    {GLOB_DOTTED, STR_INIT("1.*"), STR_INIT("1.2"), true, "a star is a part"},
    {GLOB_DOTTED, STR_INIT("1.*"), STR_INIT("1.2.3"), false, "a star is not two"},
    {GLOB_DOTTED, STR_INIT("1.**"), STR_INIT("1.2.3"), true, "two stars are"},
    {GLOB_DOTTED, STR_INIT("1.**"), STR_INIT("1."), true, "or nothing"},
    {GLOB_DOTTED, STR_INIT("1.**"), STR_INIT("1"), false, "behind the dot"},
    {GLOB_DOTTED, STR_INIT("a*"), STR_INIT("a/b/c"), true, "a star crosses slashes"},
    {GLOB_DOTTED, STR_INIT("a**"), STR_INIT("ab.c"), false, "two stars glued to text: not across a dot"},
    {GLOB_DOTTED, STR_INIT("a**"), STR_INIT("ab/c"), true, "but across slashes"},
    {GLOB_DOTTED, STR_INIT("**"), STR_INIT("a.b/c"), true, "two stars alone: everything"},
    {GLOB_DOTTED, STR_INIT("**.z"), STR_INIT("a.b.z"), true, "two stars in front"},
    {GLOB_DOTTED, STR_INIT("**.z"), STR_INIT("z"), false, "with their dot"},
    {GLOB_DOTTED, STR_INIT("a.**.z"), STR_INIT("a.b.c.z"), true, "two stars in the middle"},
    {GLOB_DOTTED, STR_INIT("a.**.z"), STR_INIT("a.z"), false, "with both dots"},
    {GLOB_DOTTED, STR_INIT("a?b"), STR_INIT("a/b"), true, "a question mark may be a slash"},
    {GLOB_DOTTED, STR_INIT("a?b"), STR_INIT("a.b"), false, "not a dot"},
    {GLOB_DOTTED, STR_INIT("[!a]"), STR_INIT("."), false, "no class has the dot"},
    {GLOB_DOTTED, STR_INIT("[!a]"), STR_INIT("b"), true, "a class turned round"},
    {GLOB_DOTTED, STR_INIT("[+-~]"), STR_INIT("/"), false, "no range has the slash"},
    {GLOB_DOTTED, STR_INIT("[/]"), STR_INIT("/"), true, "unless it is named"},
    {GLOB_DOTTED, STR_INIT("{get,list}_*"), STR_INIT("list_repos"), true, "braces"},
    {GLOB_DOTTED, STR_INIT("{a.**,b}"), STR_INIT("a.b.c"), true, "two stars within braces"},
    {GLOB_DOTTED, STR_INIT("tools/*"), STR_INIT("tools/call"), true, "an MCP method"},
    {GLOB_DOTTED, STR_INIT("Get*"), STR_INIT("getX"), false, "case counts"},

    {GLOB_SCOPE, STR_INIT(""), STR_INIT("/a"), true, "nothing: everything"},
    {GLOB_SCOPE, STR_INIT("**"), STR_INIT("/a/b"), true, "two stars: everything"},
    {GLOB_SCOPE, STR_INIT("/**"), STR_INIT(""), true, "behind a slash: everything too"},
    {GLOB_SCOPE, STR_INIT("/v1/**"), STR_INIT("/v1"), true, "X/** is X"},
    {GLOB_SCOPE, STR_INIT("/v1/**"), STR_INIT("/v1/a/b"), true, "and all below"},
    {GLOB_SCOPE, STR_INIT("/v1/**"), STR_INIT("/v1/"), true, "nothing below too"},
    {GLOB_SCOPE, STR_INIT("/v1/**"), STR_INIT("/v10"), false, "from a slash on"},
    {GLOB_SCOPE, STR_INIT("/*/**"), STR_INIT("/v1/a"), false, "X is text"},
    {GLOB_SCOPE, STR_INIT("/*/**"), STR_INIT("/*/a"), true, "with its star"},
    {GLOB_SCOPE, STR_INIT("/a*z"), STR_INIT("/ab/c/z"), true, "a star crosses slashes"},
    {GLOB_SCOPE, STR_INIT("/a/**/z"), STR_INIT("/a/z"), true, "recursive: nothing"},
    {GLOB_SCOPE, STR_INIT("/a/**/z"), STR_INIT("/a/b/c/z"), true, "recursive: several"},
    {GLOB_SCOPE, STR_INIT("/a/**/z"), STR_INIT("/a/bz"), false, "recursive: whole ones"},
    {GLOB_SCOPE, STR_INIT("**/z"), STR_INIT("/a/z"), true, "recursive in front"},
    {GLOB_SCOPE, STR_INIT("**/"), STR_INIT("/a"), true, "recursive alone"},
    {GLOB_SCOPE, STR_INIT("/a?b"), STR_INIT("/a/b"), true, "a question mark may be a slash"},
    {GLOB_SCOPE, STR_INIT("/[!a]"), STR_INIT("//"), true, "and so may a class"},
    {GLOB_SCOPE, STR_INIT("/[!a]"), STR_INIT("/a"), false, "turned round by '!'"},
    {GLOB_SCOPE, STR_INIT("/[^a]"), STR_INIT("/^"), true, "'^' is a member"},
    {GLOB_SCOPE, STR_INIT("/[^a]"), STR_INIT("/b"), false, "and turns nothing round"},
    {GLOB_SCOPE, STR_INIT("/[a-c]"), STR_INIT("/b"), true, "a range"},
    {GLOB_SCOPE, STR_INIT("/[c-a]"), STR_INIT("/b"), false, "a range the wrong way has nothing"},
    {GLOB_SCOPE, STR_INIT("/[]]"), STR_INIT("/]"), true, "a first ']' is a member"},
    {GLOB_SCOPE, STR_INIT("/{a,b}"), STR_INIT("/{a,b}"), true, "braces are text"},
    {GLOB_SCOPE, STR_INIT("/{a,b}"), STR_INIT("/a"), false, "not alternatives"},
    {GLOB_SCOPE, STR_INIT("/\\*"), STR_INIT("/\\x"), true, "a backslash is text"},
    {GLOB_SCOPE, STR_INIT("/a**"), STR_INIT("/a**"), true, "glued stars: equality"},
    {GLOB_SCOPE, STR_INIT("/a**"), STR_INIT("/ab"), false, "and no glob"},
    {GLOB_SCOPE, STR_INIT("/**a"), STR_INIT("/**a"), true, "glued in front: equality"},
    {GLOB_SCOPE, STR_INIT("/***"), STR_INIT("/***"), true, "three stars: equality"},
    {GLOB_SCOPE, STR_INIT("/***"), STR_INIT("/a"), false, "and no glob either"},
    {GLOB_SCOPE, STR_INIT("/*[a"), STR_INIT("/*[a"), true, "an open class: equality"},
    {GLOB_SCOPE, STR_INIT("/*[a"), STR_INIT("/x[a"), false, "and no glob as well"},
    {GLOB_SCOPE, STR_INIT("/*[!]"), STR_INIT("/*[!]"), true, "an empty class: equality"},
};

static const struct {
    enum glob_dialect dialect;
    struct str pattern;
    enum err_code code;
    const char *want;
} bad[] = {
    {GLOB_HOST, STR_INIT(""), ERR_INVALID, "a host pattern is not empty"},
    {GLOB_HOST, STR_INIT("*"), ERR_INVALID, "a wildcard needs a domain of two labels, as in *.example.com"},
    {GLOB_HOST, STR_INIT("**"), ERR_INVALID, "a wildcard needs a domain of two labels, as in *.example.com"},
    {GLOB_HOST, STR_INIT("*.com"), ERR_INVALID,
     "a wildcard needs a domain of two labels, as in *.example.com"},
    {GLOB_HOST, STR_INIT("**.com"), ERR_INVALID,
     "a wildcard needs a domain of two labels, as in *.example.com"},
    {GLOB_HOST, STR_INIT("a-*.com"), ERR_INVALID,
     "a wildcard needs a domain of two labels, as in *.example.com"},
    {GLOB_HOST, STR_INIT("a**.b.c"), ERR_INVALID, "'**' at offset 1 is not a whole label"},
    {GLOB_HOST, STR_INIT("***.b.c"), ERR_INVALID, "'**' at offset 0 is not a whole label"},
    {GLOB_HOST, STR_INIT("a.**.c"), ERR_INVALID, "'**' at offset 2: only the first label can be '**'"},
    {GLOB_HOST, STR_INIT("a.b*.c"), ERR_INVALID,
     "'b*' at offset 2: behind the first label a wildcard is a whole label, '*'"},
    {GLOB_HOST, STR_INIT("*..c"), ERR_INVALID, "the label at offset 2 is empty"},
    {GLOB_HOST, STR_INIT("*.b.c."), ERR_INVALID, "the label at offset 6 is empty"},
    {GLOB_HOST, STR_INIT("*.b?.c"), ERR_INVALID,
     "byte 0x3f at offset 3: a host pattern has letters, digits, '-', '_', '.' and '*'"},
    {GLOB_HOST, STR_INIT("*.0.0.1"), ERR_INVALID, "a wildcard does not match IP addresses"},
    {GLOB_HOST, STR_INIT("*." A256), ERR_INVALID, "a host pattern of 258 bytes, the limit is 253"},
    {GLOB_SELECTOR, STR_INIT(""), ERR_INVALID, "a host pattern is not empty"},
    {GLOB_SELECTOR, STR_INIT("a..b"), ERR_INVALID, "the label at offset 2 is empty"},
    {GLOB_SELECTOR, STR_INIT("a**"), ERR_INVALID, "'**' at offset 1 is not a whole label"},
    {GLOB_SELECTOR, STR_INIT("{a,b}.c"), ERR_INVALID,
     "byte 0x7b at offset 0: a host pattern has letters, digits, '-', '_', '.' and '*'"},
    {GLOB_SELECTOR, STR_INIT("a .c"), ERR_INVALID,
     "byte 0x20 at offset 1: a host pattern has letters, digits, '-', '_', '.' and '*'"},
    {GLOB_PATH, STR_INIT("/a["), ERR_INVALID, "'[' at offset 2 is not closed"},
    {GLOB_PATH, STR_INIT("[]"), ERR_INVALID, "'[' at offset 0 is not closed"},
    {GLOB_PATH, STR_INIT("[!]"), ERR_INVALID, "'[' at offset 0 is not closed"},
    {GLOB_PATH, STR_INIT("/[z-a]"), ERR_INVALID, "the range at offset 2 runs backwards"},
    {GLOB_PATH, STR_INIT("/{a,{b}"), ERR_INVALID, "'{' at offset 1 is not closed"},
    {GLOB_PATH, STR_INIT("/a}"), ERR_INVALID, "'}' at offset 2 closes nothing"},
    {GLOB_PATH, STR_INIT("/a\\"), ERR_INVALID, "'\\' at offset 2 escapes nothing"},
    {GLOB_PATH, STR_INIT(A4096 "a"), ERR_INVALID, "a pattern of 4097 bytes, the limit is 4096"},
    {GLOB_PATH, STR_INIT(B4 B4 "{a,b}"), ERR_INVALID, "the braces make more than 256 alternatives"},
    {GLOB_DOTTED, STR_INIT("[b-a]"), ERR_INVALID, "the range at offset 1 runs backwards"},
};

static void test_rows(void)
{
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        CLEANUP(arena_done) struct arena a;
        arena_init(&a, 4 * MIB);
        const struct glob *g = NULL;
        struct err err = {};
        bool ok = glob_compile(rows[i].dialect, rows[i].pattern, &a, &g, &err) == ERR_OK &&
                  glob_match(g, rows[i].text) == rows[i].want;
        (void)tap_ok(ok, "%s: %s: '%.*s' %s", names[rows[i].dialect], rows[i].rule, STR_FMT(rows[i].pattern),
                     err.msg);
    }
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        CLEANUP(arena_done) struct arena a;
        arena_init(&a, 4 * MIB);
        const struct glob *g = NULL;
        struct err err = {};
        bool ok = glob_compile(bad[i].dialect, bad[i].pattern, &a, &g, &err) == bad[i].code && !g &&
                  strcmp(err.msg, bad[i].want) == 0;
        (void)tap_ok(ok, "%s refuses '%.*s': %s", names[bad[i].dialect], STR_FMT(bad[i].pattern), err.msg);
    }
}

// ---- a naive matcher, straight from the words of the dialects
// ------------------------------------------------

struct naive {
    struct str p, t;
    char sep;
};

// The run of stars at `i` is `**` and a whole component.
static bool whole_pair(const struct naive *n, size_t i)
{
    return i + 1 < n->p.n && n->p.p[i] == '*' && n->p.p[i + 1] == '*' &&
           (i == 0 || n->p.p[i - 1] == n->sep) && (i + 2 == n->p.n || n->p.p[i + 2] == n->sep);
}

static bool naive_at(const struct naive *n, size_t i, size_t k)
{
    if (i == n->p.n)
        return k == n->t.n;
    if (whole_pair(n, i)) {
        if (i + 2 == n->p.n)
            return true;
        size_t rest = n->sep == '/' ? i + 3 : i + 2; // a path's `**/` may be nothing at all
        for (size_t to = k; to <= n->t.n; to++)
            if ((n->sep != '/' || to == k || n->t.p[to - 1] == '/') && naive_at(n, rest, to))
                return true;
        return false;
    }
    if (n->p.p[i] == '*')
        return naive_at(n, i + 1, k) || (k < n->t.n && n->t.p[k] != n->sep && naive_at(n, i, k + 1));
    if (k == n->t.n)
        return false;
    bool one = n->p.p[i] == '?' ? n->t.p[k] != n->sep : n->p.p[i] == n->t.p[k];
    return one && naive_at(n, i + 1, k + 1);
}

static bool naive_match(enum glob_dialect dialect, struct str p, struct str t)
{
    struct naive n = {p, t, dialect == GLOB_PATH ? '/' : '.'};
    struct str only = p;
    while (dialect == GLOB_PATH && str_skip(&only, STR("**/"))) {
    }
    if (p.n > 0 && only.n == 0)
        return true; // nothing but `**/`
    return naive_at(&n, 0, 0);
}

static bool naive_label(struct str p, struct str t)
{
    if (p.n == 0)
        return t.n == 0;
    if (p.p[0] == '*')
        return naive_label(str_from(p, 1), t) || (t.n > 0 && naive_label(p, str_from(t, 1)));
    return t.n > 0 && p.p[0] == t.p[0] && naive_label(str_from(p, 1), str_from(t, 1));
}

// `p` and `t` with p == NULL: no label is left. `pair`: a `**` has had its label, and may take more.
static bool naive_labels(struct str p, struct str t, bool pair)
{
    if (!t.p)
        return !p.p;
    struct str t_rest = t, t_label, p_rest = p, p_label;
    (void)str_split(&t_rest, '.', &t_label);
    if (t_label.n == 0)
        return false;
    if (pair && naive_labels(p, t_rest, true))
        return true;
    if (!str_split(&p_rest, '.', &p_label))
        return false;
    if (str_eq(p_label, STR("**")))
        return naive_labels(p_rest, t_rest, true);
    return naive_label(p_label, t_label) && naive_labels(p_rest, t_rest, false);
}

static bool naive_host(struct str p, struct str t)
{
    return str_has(p, '*') ? t.n > 0 && naive_labels(p, t, false) : str_eq(p, t);
}

// The shapes that an endpoint's host can have.
static bool naive_shape(struct str p)
{
    size_t labels = 0;
    bool ok = true, star = str_has(p, '*');
    struct str label;
    for (struct str rest = p; p.n > 0 && str_split(&rest, '.', &label); labels++) {
        bool all = str_eq(label, STR("*"));
        bool pair = label.n > 1 && memmem(label.p, label.n, "**", 2);
        ok = ok && label.n > 0 && (!pair || (labels == 0 && label.n == 2)) &&
             (labels == 0 || all || !str_has(label, '*'));
    }
    return star ? ok && labels > 2 : p.n > 0;
}

// Every word of at most `max` letters, the empty one first. False behind the last.
struct words {
    const char *letters;
    size_t max, n;
    uint8_t digit[16];
    char text[16];
};

static bool next_word(struct words *w)
{
    size_t base = strlen(w->letters), i = 0;
    while (i < w->n && ++w->digit[i] == base)
        w->digit[i++] = 0;
    if (i == w->n && w->n++ == w->max)
        return false;
    for (size_t k = 0; k < w->n; k++)
        w->text[k] = w->letters[w->digit[k]];
    return true;
}

static struct str word(const struct words *w)
{
    return (struct str){w->text, w->n};
}

static void test_all(enum glob_dialect dialect, const char *letters, size_t max, const char *text_letters,
                     size_t text_max)
{
    size_t wrong = 0, compared = 0;
    struct words p = {.letters = letters, .max = max};
    do {
        CLEANUP(arena_done) struct arena a;
        arena_init(&a, 64 * KIB);
        const struct glob *g = NULL;
        struct err err;
        bool ok = glob_compile(dialect, word(&p), &a, &g, &err) == ERR_OK;
        if (ok != (dialect != GLOB_HOST || naive_shape(word(&p))) && wrong++ < 5)
            tap_note("'%.*s' compiles: %d", STR_FMT(word(&p)), ok);
        struct words t = {.letters = text_letters, .max = text_max};
        do {
            if (!ok)
                break;
            bool want = dialect == GLOB_HOST ? naive_host(word(&p), word(&t))
                                             : naive_match(dialect, word(&p), word(&t));
            compared++;
            if (glob_match(g, word(&t)) != want && wrong++ < 5)
                tap_note("'%.*s' on '%.*s': not %d", STR_FMT(word(&p)), STR_FMT(word(&t)), want);
        } while (next_word(&t));
    } while (next_word(&p));
    (void)tap_ok(wrong == 0, "%s: as the naive matcher, %zu pairs", names[dialect], compared);
}

// ---- overlap
// ------------------------------------------------------------------------------------------------

enum { WORDS = 9841, PATTERNS = 700 }; // of up to eight letters of three (12 of two are fewer); that compile

static void test_overlap(enum glob_dialect dialect, const char *letters, size_t max, const char *text_letters,
                         size_t text_max)
{
    CLEANUP(arena_done) struct arena a;
    arena_init(&a, 16 * MIB);
    static const struct glob *globs[PATTERNS];
    static uint64_t has[PATTERNS][WORDS / 64 + 1];
    static struct str texts[PATTERNS];
    memset(has, 0, sizeof(has));
    size_t n = 0, wrong = 0;
    struct words p = {.letters = letters, .max = max};
    do {
        struct err err;
        if (n == PATTERNS || !str_has(word(&p), '*') || !arena_dup(&a, word(&p), &texts[n]) ||
            glob_compile(dialect, texts[n], &a, &globs[n], &err) != ERR_OK)
            continue;
        struct words t = {.letters = text_letters, .max = text_max};
        size_t at = 0;
        do {
            has[n][at / 64] |= (uint64_t)glob_match(globs[n], word(&t)) << (at % 64);
            at++;
        } while (next_word(&t));
        n++;
    } while (next_word(&p));
    for (size_t i = 0; i < n; i++) {
        for (size_t k = 0; k < n; k++) {
            bool want = false;
            for (size_t w = 0; w < WORDS / 64 + 1; w++)
                want = want || (has[i][w] & has[k][w]) != 0;
            bool got = glob_hosts_overlap(globs[i], globs[k]);
            if (got != want && wrong++ < 5)
                tap_note("%.*s and %.*s: %d", STR_FMT(texts[i]), STR_FMT(texts[k]), got);
        }
    }
    (void)tap_ok(wrong == 0 && n > 100 && n < PATTERNS,
                 "%s: overlap is a common host, %zu patterns, %zu wrong", names[dialect], n, wrong);
}

static const struct {
    enum glob_dialect dialect;
    struct str a, b;
    bool want;
} overlaps[] = {
    {GLOB_HOST, STR_INIT("a.example.com"), STR_INIT("A.Example.com"), true},
    {GLOB_HOST, STR_INIT("a.example.com"), STR_INIT("b.example.com"), false},
    {GLOB_HOST, STR_INIT("a.example.com"), STR_INIT("*.example.com"), true},
    {GLOB_HOST, STR_INIT("example.com"), STR_INIT("**.example.com"), false},
    {GLOB_HOST, STR_INIT("*.example.com"), STR_INIT("**.example.com"), true},
    {GLOB_HOST, STR_INIT("*.example.com"), STR_INIT("**.b.example.com"), false},
    {GLOB_HOST, STR_INIT("us-*.example.com"), STR_INIT("*-ai.example.com"), true},
    {GLOB_HOST, STR_INIT("us-*.example.com"), STR_INIT("eu-*.example.com"), false},
    {GLOB_HOST, STR_INIT("10.0.0.1"), STR_INIT("10.0.0.*"), false},
    {GLOB_SELECTOR, STR_INIT("**"), STR_INIT("a.*"), true},
    {GLOB_SELECTOR, STR_INIT("a.**"), STR_INIT("**.z"), true},
    {GLOB_SELECTOR, STR_INIT("*"), STR_INIT("**.z"), false},
};

static void test_overlap_rows(void)
{
    for (size_t i = 0; i < ARRAY_LEN(overlaps); i++) {
        CLEANUP(arena_done) struct arena a;
        arena_init(&a, 64 * KIB);
        const struct glob *x = NULL, *y = NULL;
        struct err err;
        bool ok = glob_compile(overlaps[i].dialect, overlaps[i].a, &a, &x, &err) == ERR_OK &&
                  glob_compile(overlaps[i].dialect, overlaps[i].b, &a, &y, &err) == ERR_OK &&
                  glob_hosts_overlap(x, y) == overlaps[i].want &&
                  glob_hosts_overlap(y, x) == overlaps[i].want;
        (void)tap_ok(ok, "%s and %s: overlap %d", overlaps[i].a.p, overlaps[i].b.p, overlaps[i].want);
    }
}

static void test_literals(void)
{
    static const struct {
        enum glob_dialect dialect;
        struct str pattern;
        const char *want; // NULL: not literal
        bool wild;
    } lits[] = {
        {GLOB_HOST, STR_INIT("A.com"), "a.com", false}, {GLOB_HOST, STR_INIT("*.a.com"), NULL, true},
        {GLOB_PATH, STR_INIT("/a\\*"), "/a*", true},    {GLOB_PATH, STR_INIT("/a{b}"), "/ab", true},
        {GLOB_PATH, STR_INIT("/{a,b}"), NULL, true},    {GLOB_PATH, STR_INIT("/a?"), NULL, true},
        {GLOB_PATH, STR_INIT("/[a]"), NULL, true},      {GLOB_PATH, STR_INIT("/a"), "/a", false},
        {GLOB_SCOPE, STR_INIT("/{a}"), "/{a}", false},  {GLOB_SCOPE, STR_INIT("/a?"), NULL, true},
        {GLOB_SELECTOR, STR_INIT("b"), "b", false},     {GLOB_DOTTED, STR_INIT("a.[b]"), NULL, true},
        {GLOB_HOST, STR_INIT("a?[{"), "a?[{", false},
    };
    for (size_t i = 0; i < ARRAY_LEN(lits); i++) {
        CLEANUP(arena_done) struct arena a;
        arena_init(&a, 64 * KIB);
        const struct glob *g = NULL;
        struct err err;
        struct str lit = {};
        bool ok = glob_compile(lits[i].dialect, lits[i].pattern, &a, &g, &err) == ERR_OK &&
                  glob_is_literal(g, &lit) == (lits[i].want != NULL) &&
                  (!lits[i].want || str_eq(lit, str_of(lits[i].want))) &&
                  glob_has_wildcard(lits[i].dialect, lits[i].pattern) == lits[i].wild;
        (void)tap_ok(ok, "%s '%s': literal or not", names[lits[i].dialect], lits[i].pattern.p);
    }
}

// n different classes, of two bytes each.
static bool classes_compile(size_t n)
{
    char text[4 * (GLOB_CLASSES_MAX + 1)];
    size_t len = 0;
    for (size_t i = 0; i < n; i++) {
        text[len++] = '[';
        text[len++] = (char)(0x80 + (i >> 4)); // up to 0x90: apart from the second byte's
        text[len++] = (char)(0xc0 + (i & 15));
        text[len++] = ']';
    }
    CLEANUP(arena_done) struct arena a;
    arena_init(&a, MIB);
    const struct glob *g;
    struct err err = {};
    enum err_code r = glob_compile(GLOB_PATH, (struct str){text, len}, &a, &g, &err);
    return r == ERR_OK || strcmp(err.msg, "more than 256 different classes") != 0;
}

// An arena of every size up to one that is enough: ERR_LIMIT or a glob, and no crash.
static void test_room(void)
{
    size_t limited = 0, done = 0, other = 0;
    for (size_t max = 0; done == 0 && max < 64 * KIB; max += 16) {
        CLEANUP(arena_done) struct arena a;
        arena_init(&a, max);
        const struct glob *g = NULL, *h = NULL;
        struct err err;
        enum err_code r = glob_compile(GLOB_PATH, STR("/{a,[b]}/{c,d}/**"), &a, &g, &err);
        if (r == ERR_OK)
            r = glob_compile(GLOB_HOST, STR("*.example.com"), &a, &h, &err);
        if (r == ERR_OK)
            r = glob_compile(GLOB_SCOPE, STR("/a/**"), &a, &h, &err);
        limited += r == ERR_LIMIT;
        done += r == ERR_OK;
        other += r != ERR_OK && r != ERR_LIMIT;
    }
    (void)tap_ok(limited > 3 && done == 1 && other == 0, "too little room is ERR_LIMIT");
}

static void test_memory(void)
{
    bool ok = true;
    size_t n = 1;
    for (bool done = false; ok && !done; n++) {
        CLEANUP(arena_done) struct arena a;
        arena_init(&a, MIB);
        const struct glob *g = NULL, *h = NULL;
        struct err err = {};
        alloc_fail_at(n);
        enum err_code r = glob_compile(GLOB_PATH, STR("/{a,[b]}/{c,d}/**"), &a, &g, &err);
        if (r == ERR_OK)
            r = glob_compile(GLOB_HOST, STR("*.example.com"), &a, &h, &err);
        alloc_fail_off();
        done = alloc_fail_count() < n;
        ok = r == ERR_OK ? done && g && h : !done && r == ERR_LIMIT && err.code == ERR_LIMIT;
    }
    (void)tap_ok(ok && n > 3, "no memory is ERR_LIMIT, wherever");
}

int main(void)
{
    test_rows();
    test_overlap_rows();
    test_literals();
    (void)tap_ok(classes_compile(GLOB_CLASSES_MAX), "%d classes", GLOB_CLASSES_MAX);
    (void)tap_ok(!classes_compile(GLOB_CLASSES_MAX + 1), "one more is refused");
    test_room();
    test_memory();
    test_all(GLOB_PATH, "a/*?", 5, "ab/", 5);
    test_all(GLOB_PATH, "a/*", 7, "a/", 6);
    test_all(GLOB_DOTTED, "a.*?", 5, "a./", 5);
    test_all(GLOB_HOST, "a.*", 8, "ab.", 6);
    test_overlap(GLOB_HOST, "a.*", 8, "a.", 12);
    test_overlap(GLOB_HOST, "ab.*", 6, "ab.", 8);
    test_overlap(GLOB_SELECTOR, "a.*", 6, "a.", 12);
    return tap_done();
}
