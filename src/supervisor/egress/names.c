#include "supervisor/egress/names.h"

#include <pthread.h>

#include "net/host.h"

enum { SLOTS = NAMES_MAX * 2 }; // half load at most

struct name_map {
    pthread_mutex_t lock;
    size_t n;
    char *hosts[NAMES_MAX]; // index i is 198.18.0.0 + FIRST + i
    uint32_t slots[SLOTS];  // index + 1 into hosts, by hash; 0: free
};

enum { FIRST = 256 }; // 198.18.1.0: the first block stays free of addresses that look like a network's own

enum err_code names_new(struct name_map **ret, struct err *e)
{
    struct name_map *m = calloc(1, sizeof(*m));
    if (!m)
        return err_set(e, ERR_LIMIT, "no memory for the name map");
    (void)pthread_mutex_init(&m->lock, NULL);
    *ret = m;
    return ERR_OK;
}

void names_free(struct name_map *m)
{
    if (!m)
        return;
    for (size_t i = 0; i < m->n; i++)
        free(m->hosts[i]);
    (void)pthread_mutex_destroy(&m->lock);
    free(m);
}

static struct ip address_of(size_t index)
{
    uint32_t a = (198U << 24 | 18U << 16) + FIRST + (uint32_t)index;
    return (struct ip){.family = 4,
                       .b = {(uint8_t)(a >> 24), (uint8_t)(a >> 16), (uint8_t)(a >> 8), (uint8_t)a}};
}

bool names_in_pool(const struct ip *ip)
{
    return ip->family == 4 && ip->b[0] == 198 && (ip->b[1] & 0xfe) == 18;
}

static size_t slot_of(const struct name_map *m, struct str host)
{
    size_t at = str_hash(host, 0) % SLOTS;
    while (m->slots[at] != 0 && !str_eq(str_of(m->hosts[m->slots[at] - 1]), host))
        at = (at + 1) % SLOTS;
    return at;
}

static enum err_code add(struct name_map *m, struct str host, size_t at, struct err *e)
{
    if (m->n == NAMES_MAX)
        return err_set(e, ERR_LIMIT, "%d names have addresses already", NAMES_MAX);
    char *copy = host.n <= HOST_MAX ? malloc(host.n + 1) : NULL;
    if (!copy || !str_cstr(host, copy, host.n + 1)) {
        free(copy);
        return err_set(e, ERR_LIMIT, "no memory for a name");
    }
    m->hosts[m->n++] = copy;
    m->slots[at] = (uint32_t)m->n;
    return ERR_OK;
}

enum err_code names_address(struct name_map *m, struct str host, struct ip *ret, struct err *e)
{
    (void)pthread_mutex_lock(&m->lock);
    size_t at = slot_of(m, host);
    enum err_code r = m->slots[at] != 0 ? ERR_OK : add(m, host, at, e);
    if (r == ERR_OK)
        *ret = address_of(m->slots[at] - 1);
    (void)pthread_mutex_unlock(&m->lock);
    return r;
}

bool names_host(struct name_map *m, const struct ip *ip, char out[static 254], size_t *ret_n)
{
    if (!names_in_pool(ip))
        return false;
    uint32_t offset = ((uint32_t)(ip->b[1] & 1) << 16) + ((uint32_t)ip->b[2] << 8) + ip->b[3];
    (void)pthread_mutex_lock(&m->lock);
    bool found = offset >= FIRST && offset - FIRST < m->n;
    if (found) {
        struct str host = str_of(m->hosts[offset - FIRST]);
        found = str_cstr(host, out, 254);
        *ret_n = host.n;
    }
    (void)pthread_mutex_unlock(&m->lock);
    return found;
}
