#include "gateway/ids.h"

#include <sys/random.h>

static enum err_code random_bytes(void *dst, size_t n, struct err *reterr)
{
    if (getrandom(dst, n, 0) != (ssize_t)n) // up to 256 bytes come whole
        return err_set(reterr, ERR_UNAVAILABLE, "the system has no random numbers");
    return ERR_OK;
}

static bool is_dash(size_t at)
{
    return at == 8 || at == 13 || at == 18 || at == 23;
}

enum err_code id_make(char dst[static ID_SIZE], struct err *reterr)
{
    static const char hex[] = "0123456789abcdef";
    uint8_t b[16];
    enum err_code r = random_bytes(b, sizeof(b), reterr);
    if (r != ERR_OK)
        return r;
    b[6] = (uint8_t)((b[6] & 0x0f) | 0x40); // version 4
    b[8] = (uint8_t)((b[8] & 0x3f) | 0x80); // variant 10
    for (size_t at = 0, digit = 0; at < ID_SIZE - 1; at++) {
        if (is_dash(at)) {
            dst[at] = '-';
            continue;
        }
        dst[at] = hex[digit % 2 == 0 ? b[digit / 2] >> 4 : b[digit / 2] & 15];
        digit++;
    }
    dst[ID_SIZE - 1] = '\0';
    return ERR_OK;
}

enum err_code id_make_words(char dst[static ID_WORDS_MAX], struct err *reterr)
{
    static const char *const how[32] = {"able",  "blue",  "bold",  "brisk", "calm",  "clear", "cool",
                                        "deft",  "eager", "early", "fair",  "fine",  "firm",  "fond",
                                        "glad",  "green", "keen",  "kind",  "light", "lucky", "merry",
                                        "mild",  "neat",  "noble", "plain", "proud", "quick", "quiet",
                                        "ready", "sharp", "sunny", "warm"};
    static const char *const who[32] = {"ant",   "badger", "bat",   "beaver", "bee",   "crane", "crow",
                                        "deer",  "dove",   "eagle", "finch",  "fox",   "goose", "hare",
                                        "heron", "ibex",   "jay",   "koala",  "lark",  "lion",  "lynx",
                                        "mole",  "moose",  "otter", "owl",    "panda", "raven", "robin",
                                        "seal",  "stork",  "swan",  "wren"};
    uint8_t b[2];
    enum err_code r = random_bytes(b, sizeof(b), reterr);
    if (r == ERR_OK)
        (void)snprintf(dst, ID_WORDS_MAX, "%s-%s", how[b[0] % 32], who[b[1] % 32]);
    return r;
}

bool id_is_uuid(struct str s)
{
    if (s.n != ID_SIZE - 1)
        return false;
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];
        if (is_dash(i) ? c != '-' : !char_is_digit(c) && (c < 'a' || c > 'f'))
            return false;
    }
    return true;
}
