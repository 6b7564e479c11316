#include "cli/request_maps.h"

bool request_pair(struct arena *a, const char *word, char **key, char **value)
{
    ptrdiff_t eq = str_find(str_of(word), '=');
    struct str k = {}, v = {};
    if (eq <= 0 || !arena_dup(a, str_head(str_of(word), (size_t)eq), &k) ||
        !arena_dup(a, str_from(str_of(word), (size_t)eq + 1), &v))
        return false;
    *key = (char *)(uintptr_t)k.p;
    *value = (char *)(uintptr_t)v.p;
    return true;
}

enum err_code request_env_check(const char *word, struct err *reterr)
{
    struct str rest = str_of(word), key = {};
    bool has_eq = str_split(&rest, '=', &key) && rest.p;
    bool ok = has_eq && key.n > 0 && !char_is_digit(key.p[0]);
    for (size_t i = 0; i < key.n; i++)
        ok = ok && (char_is_alpha(key.p[i]) || char_is_digit(key.p[i]) || key.p[i] == '_');
    if (!ok)
        return err_set(
            reterr, ERR_INVALID,
            "--env %.*s: KEY=VALUE is needed, with a key of letters, digits and '_' that begins with no "
            "digit",
            STR_FMT(key));
    if (str_starts(key, STR("OPENSHELL_")))
        return err_set(reterr, ERR_INVALID, "--env %.*s: names that begin with OPENSHELL_ are reserved",
                       STR_FMT(key));
    return ERR_OK;
}

bool request_env_is_secret(struct str key)
{
    static const struct str words[] = {STR_INIT("TOKEN"), STR_INIT("SECRET"), STR_INIT("PASSWORD"),
                                       STR_INIT("CREDENTIAL")};
    static const struct str before_key[] = {STR_INIT("ACCESS"), STR_INIT("SECRET"), STR_INIT("API")};
    struct str rest = key, part, last = {};
    while (rest.n > 0 && str_split(&rest, '_', &part)) {
        for (size_t i = 0; i < ARRAY_LEN(words); i++)
            if (str_eq_ci(part, words[i]))
                return true;
        for (size_t i = 0; i < ARRAY_LEN(before_key); i++)
            if (str_eq_ci(part, STR("KEY")) && str_eq_ci(last, before_key[i]))
                return true;
        last = part;
    }
    return false;
}
