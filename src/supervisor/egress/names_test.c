#include "supervisor/egress/names.h"

#include "tap.h"

int main(void)
{
    struct err e;
    struct name_map *m = NULL;
    if (!tap_ok(names_new(&m, &e) == ERR_OK, "a map is made"))
        return tap_done();
    struct ip a, b, again;
    char host[254];
    size_t n = 0;
    tap_ok(names_address(m, STR("a.test"), &a, &e) == ERR_OK && names_in_pool(&a),
           "a name gets an address of the pool");
    tap_ok(names_address(m, STR("b.test"), &b, &e) == ERR_OK && !ip_eq(&a, &b), "another name gets another");
    tap_ok(names_address(m, STR("a.test"), &again, &e) == ERR_OK && ip_eq(&a, &again),
           "the same name keeps its own");
    tap_ok(names_host(m, &b, host, &n) && str_eq((struct str){host, n}, STR("b.test")),
           "an address gives its name back");
    struct ip outside = {.family = 4, .b = {198, 17, 255, 255}}, next = a;
    tap_ok(!names_host(m, &outside, host, &n), "an address below the pool stands for nothing");
    next.b[3] = (uint8_t)(a.b[3] + 2);
    tap_ok(!names_host(m, &next, host, &n), "an address not handed out stands for nothing");
    struct ip v6 = {.family = 6, .b = {198, 18}};
    tap_ok(!names_in_pool(&v6), "an IPv6 address is not in the pool whatever its bytes");
    enum err_code r = ERR_OK;
    for (int i = 0; r == ERR_OK && i <= NAMES_MAX; i++) {
        char text[32];
        (void)snprintf(text, sizeof(text), "n%d.test", i);
        r = names_address(m, str_of(text), &b, &e);
        if (i == NAMES_MAX - 3)
            tap_ok(r == ERR_OK, "the last name that fits gets an address");
    }
    tap_ok(r == ERR_LIMIT && str_eq(str_of(e.msg), STR("4096 names have addresses already")),
           "one more is refused");
    tap_ok(names_address(m, STR("a.test"), &again, &e) == ERR_OK && ip_eq(&a, &again),
           "a full map still knows its names");
    names_free(m);
    return tap_done();
}
