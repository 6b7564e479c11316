// isolate/lineage.h: a process that stands still, and its ancestors, told at a few system calls each.
//
// /proc is kept open of those that were seen before: what cannot change while they live is not asked again,
// and a descriptor of one that has ended answers nothing, so a number that is used again is not taken for it.
#pragma once
#include "isolate/proc.h"

struct lineage;
enum err_code lineage_new(struct exehash *hashes, struct lineage **ret,
                          struct err *e) NONNULL; // hashes: the caller's
void lineage_free(struct lineage *l);

// The folder of a process or thread, to look at more of it; until the next call. -1: it has ended.
[[nodiscard]] int lineage_dir(struct lineage *l, uint32_t tid) NONNULL;

// As proc_identity(), of a thread that stands in a system call, which the caller checks afterwards; pid is
// its process's. With *wanted not empty afterwards, *ret lacks hashes and is no identity yet.
enum err_code lineage_of(struct lineage *l, uint32_t tid, struct arena *a, struct proc_wanted *wanted,
                         struct identity *ret, struct err *e) NONNULL;
