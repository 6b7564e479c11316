#include "supervisor/session/ring.h"

#include "tap.h"

static char big[RING_RECORD_MAX], got[RING_RECORD_MAX];

static void test_order(void)
{
    CLEANUP(ring_done) struct ring r = {};
    uint64_t at = 0;
    enum ring_source source = RING_OUT;
    size_t n = 0;
    bool lost = true;
    tap_ok(!ring_read(&r, &at, &source, got, &n, &lost) && !lost,
           "an empty one has nothing, and lost nothing");
    bool ok = ring_add(&r, RING_OUT, STR("one")) && ring_add(&r, RING_ERR, STR("two"));
    tap_ok(ok && ring_read(&r, &at, &source, got, &n, &lost) && source == RING_OUT && n == 3 &&
               memcmp(got, "one", 3) == 0,
           "the oldest comes first");
    tap_ok(ring_read(&r, &at, &source, got, &n, &lost) && source == RING_ERR && memcmp(got, "two", 3) == 0,
           "each with where it came from");
    tap_ok(!ring_read(&r, &at, &source, got, &n, &lost) && !lost && at == r.newest, "then no more");
    ok = ring_add(&r, RING_OUT, STR("three"));
    tap_ok(ok && ring_read(&r, &at, &source, got, &n, &lost) && n == 5, "until something is added");
}

// Records of every size, many times round; compared with what a reader that keeps up must see.
static void test_round(void)
{
    CLEANUP(ring_done) struct ring r = {};
    uint64_t at = 0, first = 0;
    size_t right = 0, bad = 0, kept = 0;
    enum { RECORDS = 2000 };
    for (size_t i = 0; i < RECORDS; i++) {
        size_t n = i * 7919 % RING_RECORD_MAX + 1, len = 0;
        enum ring_source source = RING_OUT;
        bool lost = false;
        memset(big, (int)(i & 0xff), n);
        if (ring_add(&r, i & 1 ? RING_ERR : RING_OUT, (struct str){big, n}) &&
            ring_read(&r, &at, &source, got, &len, &lost) && len == n && memcmp(got, big, n) == 0 &&
            source == (i & 1 ? RING_ERR : RING_OUT) && r.newest - r.oldest <= RING_MAX)
            right++;
    }
    tap_ok(right == RECORDS, "records go round the end whole: %zu", right);
    tap_ok(r.newest - r.oldest > RING_MAX - RING_RECORD_MAX - 8, "and it is kept full");
    enum ring_source source = RING_OUT;
    size_t n = 0;
    bool lost = false;
    tap_ok(!ring_read(&r, &first, &source, got, &n, &lost) && lost && first == r.oldest,
           "a reader that fell behind is told, and where it may go on");
    while (ring_read(&r, &first, &source, got, &n, &lost)) {
        kept += n;
        for (size_t i = 1; i < n; i++)
            bad += got[i] != got[0];
    }
    tap_ok(bad == 0 && !lost && kept > RING_MAX / 2, "what is left is whole: %zu bytes", kept);
}

int main(void)
{
    test_order();
    test_round();
    return tap_done();
}
