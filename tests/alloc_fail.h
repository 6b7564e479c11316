// tests/alloc_fail.h: makes the n-th allocation fail.
//
// Linked into every test program with -Wl,--wrap for malloc, calloc, realloc, reallocarray, posix_memalign,
// aligned_alloc, strdup and strndup: it sees the calls of our own libraries and of others that are linked
// statically (libyaml is, in test builds), and none from inside a shared library. Off until asked for. One
// thread only.
//
//   for (size_t n = 1;; n++) {
//       alloc_fail_at(n);
//       enum err_code r = thing_make(&thing, &err);
//       alloc_fail_off();
//       … r is ERR_LIMIT and nothing has leaked, or the n-th allocation did not happen …
//       if (alloc_fail_count() < n)
//           break; // it worked, with fewer allocations than n
//   }
#pragma once
#include <stddef.h>

void alloc_fail_at(
    size_t n); // the n-th from now (1 is the next) fails, those behind it do not; count restarts
void alloc_fail_from(size_t n); // the n-th and all behind it fail; count restarts
void alloc_fail_off(void);      // none fails any more, and the count stands still
size_t alloc_fail_count(void);  // allocations seen since one of the first two, the failed ones included
