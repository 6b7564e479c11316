// Walks a program's commands and writes every manual page. Run by the build, not installed.
#include "base/fd.h"
#include "cmd/manpage.h"

enum { PAGE_MAX = MIB };

static enum err_code write_page(const char *dir, const struct command *const *path, size_t depth,
                                struct err *reterr)
{
    CLEANUP(buf_done) struct buf file, page;
    buf_init(&file, 4 * KIB);
    buf_init(&page, PAGE_MAX);
    buf_addf(&file, "%s/", dir);
    manpage_name(path, depth, &file);
    buf_addf(&file, ".1");
    manpage(path, depth, &page);
    enum err_code r = buf_check(&file, "file name", reterr);
    if (r == ERR_OK)
        r = buf_check(&page, "manual page", reterr);
    return r == ERR_OK ? file_write_atomic(file.p, buf_str(&page), 0644, reterr) : r;
}

// Walks the tree: path[depth - 1] is the command at hand.
static enum err_code write_tree(const char *dir, const struct command **path, size_t depth,
                                struct err *reterr)
{
    enum err_code r = write_page(dir, path, depth, reterr);
    const struct command *cmd = path[depth - 1];
    for (size_t i = 0; r == ERR_OK && i < cmd->subs_n && depth < COMMAND_DEPTH_MAX; i++) {
        path[depth] = cmd->subs[i];
        r = write_tree(dir, path, depth + 1, reterr);
    }
    return r;
}

int manpage_main(const struct command *root, int argc, char **argv)
{
    const struct command *path[COMMAND_DEPTH_MAX] = {root};
    struct err err;
    if (argc != 2) {
        (void)fprintf(stderr, "usage: %s DIR\n", argv[0]);
        return 2;
    }
    if (write_tree(argv[1], path, 1, &err) != ERR_OK) {
        (void)fprintf(stderr, "gen_man: %s\n", err.msg);
        return 1;
    }
    return 0;
}
