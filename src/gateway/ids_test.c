#include "gateway/ids.h"

#include "tap.h"

#include "gateway/check.h"

int main(void)
{
    char a[ID_SIZE] = "", b[ID_SIZE] = "", words[ID_WORDS_MAX] = "";
    struct err err = {};
    tap_ok(id_make(a, &err) == ERR_OK && id_make(b, &err) == ERR_OK && !str_eq(str_of(a), str_of(b)),
           "two ids differ");
    tap_ok(id_is_uuid(str_of(a)) && id_is_uuid(str_of(b)), "they are UUIDs");
    bool marked = true;
    for (int i = 0; i < 200; i++)
        marked &= id_make(a, &err) == ERR_OK && a[14] == '4' && strchr("89ab", a[19]);
    tap_ok(marked, "of version 4 and variant 10");
    bool fine = true;
    for (int i = 0; i < 5000; i++)
        fine &= id_make_words(words, &err) == ERR_OK && check_sandbox_name(str_of(words), &err) == ERR_OK;
    tap_ok(fine, "made up names are names");
    tap_ok(!id_is_uuid(STR("")) && !id_is_uuid(STR("b9f0c7a2-0000-4000-8000-00000000000")) &&
               !id_is_uuid(STR("b9f0c7a2-0000-4000-8000-0000000000000")),
           "a UUID has 36 characters");
    tap_ok(!id_is_uuid(STR("B9f0c7a2-0000-4000-8000-000000000000")) &&
               !id_is_uuid(STR("b9f0c7a2-0000-4000-8000-00000000000/")) &&
               !id_is_uuid(STR("b9f0c7a2-0000-4000-8000_000000000000")) &&
               !id_is_uuid(STR("b9f0c7a-20000-4000-8000-000000000000")),
           "of lower case hex digits, and dashes in their places");
    tap_ok(id_is_uuid(STR("b9f0c7a2-0000-4000-8000-000000000000")), "one that is");
    return tap_done();
}
