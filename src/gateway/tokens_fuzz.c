#include <stdlib.h>

#include "gateway/tokens_test.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

// Two parts, cut at the first newline: header and claims, which are then rightly signed; without a newline it
// is a whole token, which cannot be right.
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct keys k;
    if (!k.tokens) {
        if (!keys_make(&k, 0))
            abort();
        (void)nftw(k.dir, keys_remove_one, 8, FTW_DEPTH | FTW_PHYS); // read already
        k.dir[0] = '\0';
    }
    struct str in = {(const char *)data, size}, rest = in, header;
    char id[TOKENS_ID_MAX + 1];
    struct err err;
    if (!str_split(&rest, '\n', &header) || !rest.p) {
        assert(tokens_check(k.tokens, in, 1000, id, &err) != ERR_OK);
        return 0;
    }
    CLEANUP(buf_done) struct buf token;
    buf_init(&token, 64 * KIB);
    keys_sign(&k, header, rest, &token);
    if (tokens_check(k.tokens, buf_str(&token), 1000, id, &err) == ERR_OK) {
        CLEANUP(buf_done) struct buf again;
        buf_init(&again, TOKENS_TEXT_MAX);
        int64_t expires_ms;
        assert(tokens_mint(k.tokens, str_of(id), 1000, &again, &expires_ms, &err) == ERR_OK); // an id it is
    }
    return 0;
}
