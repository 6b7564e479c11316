// gateway/toml_internal.h: between toml.c (the document) and toml_value.c (strings, numbers, times).
#pragma once
#include "gateway/toml.h"

struct toml_in {
    struct str text;
    size_t at, line_at; // of the next byte, of its line
    unsigned line;
    struct arena *arena;
};

[[nodiscard]] static inline char toml_peek(const struct toml_in *in) // NUL, which no text holds, at the end
{
    return in->at < in->text.n ? in->text.p[in->at] : '\0';
}
[[nodiscard]] static inline bool toml_starts(const struct toml_in *in, struct str s)
{
    return str_starts(str_from(in->text, in->at), s);
}
[[nodiscard]] static inline bool toml_is_control(char c)
{
    return ((unsigned char)c < 0x20 && c != '\t') || c == 0x7f;
}

enum err_code toml_bad(const struct toml_in *in, const char *what, struct err *reterr) NONNULL;
void toml_blanks(struct toml_in *in) NONNULL;
bool toml_newline(struct toml_in *in) NONNULL; // takes one, if it is there

// UTF-8, no NUL, no carriage return without a newline.
enum err_code toml_check_text(struct toml_in *in, struct err *reterr) NONNULL;
// All four kinds of strings.
enum err_code toml_string(struct toml_in *in, struct str *ret, struct err *reterr) NONNULL;
// true, false, numbers, dates and times: type and value of `t`.
enum err_code toml_scalar(struct toml_in *in, struct toml *t, struct err *reterr) NONNULL;
