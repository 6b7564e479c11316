#include "isolate/users.h"

enum { FIELDS_MAX = 7 };

struct line {
    struct str field[FIELDS_MAX];
    size_t n;
};

static void line_of(struct str text, struct line *ret)
{
    *ret = (struct line){};
    for (struct str f; ret->n < FIELDS_MAX && str_split(&text, ':', &f);)
        ret->field[ret->n++] = f;
}

static enum err_code check(struct str text, const char *what, struct err *e)
{
    if (text.n > USERS_TEXT_MAX)
        return err_set(e, ERR_LIMIT, "%s: more than %d bytes", what, USERS_TEXT_MAX);
    size_t at = 0;
    for (struct str rest = text, l; str_line(&rest, &l);) {
        at++;
        if (l.n > USERS_LINE_MAX)
            return err_set(e, ERR_LIMIT, "%s, line %zu: more than %d bytes", what, at, USERS_LINE_MAX);
    }
    return ERR_OK;
}

// The line whose first field is `name`, or whose third is `id`. Two of one name are refused: which one counts
// would be the libc's choice, and another's in a static program.
static enum err_code find(struct str text, struct str name, struct line *ret, bool *found, struct err *e)
{
    *found = false;
    for (struct str rest = text, l; str_line(&rest, &l);) {
        struct line line;
        line_of(l, &line);
        if (line.n < 3 || !str_eq(line.field[0], name))
            continue;
        if (*found)
            return err_set(e, ERR_INVALID, "'%.*s' has two lines", STR_FMT(name));
        *ret = line;
        *found = true;
    }
    return ERR_OK;
}

static bool id_taken(struct str text, uint64_t id, struct line *ret)
{
    for (struct str rest = text, l; str_line(&rest, &l);) {
        uint64_t v;
        line_of(l, ret);
        if (ret->n >= 3 && str_u64(ret->field[2], UINT32_MAX, &v) && v == id)
            return true;
    }
    return false;
}

static enum err_code id_of(struct str given, const char *what, struct str text, uint64_t invented,
                           uint64_t *ret, bool *ret_known, struct err *e)
{
    struct str name = given.n > 0 ? given : STR("sandbox");
    *ret_known = true;
    if (str_u64(name, USERS_ID_MAX, ret)) {
        if (*ret == 0)
            return err_set(e, ERR_INVALID, "run_as_%s: 0 is root: give 'sandbox' or another id", what);
        return ERR_OK;
    }
    if (!str_eq(name, STR("sandbox")))
        return err_set(e, ERR_INVALID, "run_as_%s '%.*s': give 'sandbox' or a number from 1 to %u", what,
                       STR_FMT(name), USERS_ID_MAX);
    struct line line;
    enum err_code r = find(text, name, &line, ret_known, e);
    if (r != ERR_OK)
        return err_wrap(e, r, "%s file", what);
    if (!*ret_known)
        *ret = invented;
    else if (!str_u64(line.field[2], USERS_ID_MAX, ret) || *ret == 0)
        return err_set(e, ERR_INVALID, "%s 'sandbox' has no usable id, '%.*s'", what, STR_FMT(line.field[2]));
    return ERR_OK;
}

enum err_code users_resolve(struct str user, struct str group, struct str passwd, struct str groups,
                            bool free_ids, struct users *ret, struct err *e)
{
    enum err_code r = check(passwd, "passwd", e);
    if (r == ERR_OK)
        r = check(groups, "group", e);
    if (r != ERR_OK)
        return r;
    uint64_t invented = USERS_FIRST, uid = 0, gid = 0;
    struct line line;
    while (free_ids && (id_taken(passwd, invented, &line) || id_taken(groups, invented, &line)))
        invented++;
    bool user_known = false, group_known = false;
    r = id_of(user, "user", passwd, invented, &uid, &user_known, e);
    if (r == ERR_OK)
        r = id_of(group, "group", groups, invented, &gid, &group_known, e);
    if (r != ERR_OK)
        return r;
    *ret = (struct users){.uid = (uid_t)uid, .gid = (gid_t)gid, .name = "sandbox"};
    if (id_taken(passwd, uid, &line) && line.field[0].n > 0)
        (void)str_cstr(line.field[0], ret->name, sizeof(ret->name)); // too long: "sandbox" stays
    return ERR_OK;
}

// All lines but those of the agent's name and of "sandbox".
static void others(struct str text, const struct users *u, struct buf *out)
{
    for (struct str rest = text, l; str_line(&rest, &l);) {
        struct line line;
        line_of(l, &line);
        if (l.n == 0 || str_eq(line.field[0], STR("sandbox")) || str_eq(line.field[0], str_of(u->name)))
            continue;
        buf_add(out, l);
        buf_addc(out, '\n');
    }
}

enum err_code users_passwd(struct str passwd, const struct users *u, struct buf *out, struct err *e)
{
    buf_addf(out, "%s:x:%u:%u::/sandbox:/bin/sh\n", u->name, u->uid, u->gid); // first: ids find it first
    others(passwd, u, out);
    return buf_check(out, "passwd", e);
}

enum err_code users_group(struct str groups, const struct users *u, struct buf *out, struct err *e)
{
    buf_addf(out, "%s:x:%u:\n", u->name, u->gid);
    others(groups, u, out);
    return buf_check(out, "group", e);
}
