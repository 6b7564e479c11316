// store/store_test.h: what the tests of this layer share: a folder that goes away, and objects in one line.
#pragma once
#include "store/store.h"

#include "tap.h"

#include <ftw.h>
#include <unistd.h>

struct place {
    char folder[64], file[80]; // the file is in a folder that does not exist yet
};

static inline struct place place_new(const char *below)
{
    struct place p;
    (void)snprintf(p.folder, sizeof(p.folder), "%s/store-XXXXXX", below);
    if (!mkdtemp(p.folder))
        abort();
    (void)snprintf(p.file, sizeof(p.file), "%s/s/db", p.folder);
    return p;
}

static inline int place_remove(const char *path, const struct stat *st, int flag, struct FTW *ftw)
{
    (void)st, (void)flag, (void)ftw;
    (void)remove(path); // a test's leftovers
    return 0;
}

static inline void place_done(struct place *p)
{
    (void)nftw(p->folder, place_remove, 8, FTW_DEPTH | FTW_PHYS);
}

__attribute__((returns_nonnull)) static inline struct store *place_open(const struct place *p)
{
    struct store *st = NULL;
    struct err err = {};
    if (store_open(str_of(p->file), &st, &err) != ERR_OK) {
        printf("Bail out! open: %s\n", err.msg); // nothing can be shown without
        exit(1);
    }
    assert(st);
    return st;
}

static inline struct store_object thing(const char *id, const char *name)
{
    return (struct store_object){.kind = STR("thing"),
                                 .workspace = STR("w"),
                                 .id = str_of(id),
                                 .name = name ? str_of(name) : (struct str){},
                                 .payload = STR("p\0q"),
                                 .created_ms = 1,
                                 .updated_ms = 1};
}

static inline enum err_code put(struct store *st, enum store_op op, uint64_t if_version,
                                struct store_object o, uint64_t *version, struct err *err)
{
    size_t failed;
    return store_apply(st, &(struct store_write){op, if_version, o}, 1, version, &failed, err);
}
