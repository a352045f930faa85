/* Wildcards stand in the table without their star: ".example.com" can be no host. One sorted table holds both kinds, so
 * a lookup is one search for the host and one for what is left of it from each of its dots. */
#include "gateway/http/hosts.h"

#include <arpa/inet.h>

typedef struct entry {
    sheaf_str_t name;
    sheaf_router_t *router;
} entry_t;

struct sheaf_hosts {
    sheaf_pool_t *pool;
    entry_t *entries; /* sorted by name */
    uint32_t count, size;
};

/* --- hosts --- */

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* A port is digits, which may be none; a colon before anything else is part of no name. */
static sheaf_str_t without_port(sheaf_str_t host)
{
    size_t len = host.len;

    while (len > 0 && is_digit(host.base[len - 1]))
        len--;
    return len > 0 && host.base[len - 1] == ':' ? sheaf_str(host.base, len - 1) : host;
}

/* "[0:0::1]" is "[::1]". */
static bool fold_literal(sheaf_str_t host, char room[SHEAF_HOST_MAX + 1], sheaf_str_t *ret_host)
{
    char text[INET6_ADDRSTRLEN + 1];
    uint8_t ip[16];

    if (host.len < 3 || host.base[host.len - 1] != ']' || host.len - 2 >= sizeof(text))
        return false;
    memcpy(text, host.base + 1, host.len - 2);
    text[host.len - 2] = '\0';
    if (inet_pton(AF_INET6, text, ip) != 1)
        return false;
    room[0] = '[';
    inet_ntop(AF_INET6, ip, room + 1, INET6_ADDRSTRLEN);
    *ret_host = sheaf_str(room, strlen(room) + 1);
    room[ret_host->len - 1] = ']';
    return true;
}

bool sheaf_host_fold(sheaf_str_t host, char room[SHEAF_HOST_MAX + 1], sheaf_str_t *ret_host)
{
    host = without_port(host);
    if (host.len > 0 && host.base[0] == '[')
        return fold_literal(host, room, ret_host);
    if (host.len > 1 && host.base[host.len - 1] == '.')
        host.len--;
    /* an empty first label would find wildcards by name */
    if (host.len == 0 || host.len > SHEAF_HOST_MAX || host.base[0] == '.')
        return false;
    for (size_t i = 0; i < host.len; i++)
        room[i] = sheaf_lower(host.base[i]);
    *ret_host = sheaf_str(room, host.len);
    return true;
}

/* --- patterns --- */

static sheaf_str_t without_star(sheaf_str_t pattern)
{
    return sheaf_str_starts(pattern, SHEAF_STR("*.")) ? sheaf_str(pattern.base + 1, pattern.len - 1) : pattern;
}

static bool is_label(sheaf_str_t label)
{
    for (size_t i = 0; i < label.len; i++) {
        char c = sheaf_lower(label.base[i]);

        if ((c < 'a' || c > 'z') && !is_digit(c) && c != '-' && c != '_')
            return false;
    }
    return label.len > 0 && label.len <= 63;
}

static bool is_name(sheaf_str_t name)
{
    if (name.len > 1 && name.base[name.len - 1] == '.')
        name.len--;
    while (name.base != NULL)
        if (!is_label(sheaf_str_cut(&name, '.')))
            return false;
    return true;
}

sheaf_err_t sheaf_host_check_pattern(sheaf_str_t pattern, sheaf_fail_t *fail)
{
    int shown = (int)(pattern.len < 64 ? pattern.len : 64);
    char room[SHEAF_HOST_MAX + 1];
    sheaf_str_t name = without_star(pattern), host;

    if (name.len != pattern.len)
        name = sheaf_str(name.base + 1, name.len - 1);
    if (pattern.len > 0 && pattern.len <= SHEAF_HOST_MAX &&
        (pattern.base[0] == '[' ? pattern.base[pattern.len - 1] == ']' && sheaf_host_fold(pattern, room, &host)
                                : is_name(name)))
        return SHEAF_OK;
    return sheaf_fail(
        fail, SHEAF_ERR_CONFIG,
        "`%.*s` is no host: write api.example.com, \"*.example.com\", 10.0.0.1 or \"[::1]\", without a port", shown,
        pattern.base);
}

#define KEY_ROOM (SHEAF_HOST_MAX + 2) /* a host, and the dot that stands for a star */

/* What the table knows a pattern by. */
static sheaf_str_t key_of(sheaf_str_t pattern, char room[KEY_ROOM])
{
    sheaf_str_t name = without_star(pattern), key = SHEAF_STR_NONE;
    bool has_star = name.len != pattern.len, is_good;

    is_good = sheaf_host_fold(has_star ? sheaf_str(name.base + 1, name.len - 1) : name, room + has_star, &key);
    SHEAF_ASSERT(is_good);
    if (!has_star)
        return key;
    room[0] = '.';
    return sheaf_str(room, key.len + 1);
}

bool sheaf_host_matches(sheaf_str_t pattern, sheaf_str_t host)
{
    char host_room[SHEAF_HOST_MAX + 1], room[KEY_ROOM];
    sheaf_str_t key = key_of(pattern, room);

    if (!sheaf_host_fold(host, host_room, &host))
        return false;
    return key.base[0] == '.' ? host.len > key.len && host.base[0] != '[' && sheaf_str_ends(host, key)
                              : sheaf_str_eq(host, key);
}

/* --- the table --- */

static int compare(sheaf_str_t a, sheaf_str_t b)
{
    int order = memcmp(a.base, b.base, a.len < b.len ? a.len : b.len);

    return order != 0 ? order : (a.len > b.len) - (a.len < b.len);
}

/* Where `name` is, or belongs. */
static uint32_t place_of(const sheaf_hosts_t *hosts, sheaf_str_t name, bool *ret_is_there)
{
    uint32_t low = 0, high = hosts->count;

    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        int order = compare(hosts->entries[middle].name, name);

        if (order == 0) {
            *ret_is_there = true;
            return middle;
        }
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    *ret_is_there = false;
    return low;
}

sheaf_hosts_t *sheaf_hosts_new(sheaf_pool_t *pool)
{
    sheaf_hosts_t *hosts = sheaf_pool_zalloc(pool, sizeof(*hosts));

    hosts->pool = pool;
    return hosts;
}

static void make_room(sheaf_hosts_t *hosts)
{
    entry_t *entries;

    if (hosts->count < hosts->size)
        return;
    hosts->size = hosts->size == 0 ? 16 : hosts->size * 2;
    entries = sheaf_pool_alloc(hosts->pool, hosts->size * sizeof(*entries));
    if (hosts->count > 0)
        memcpy(entries, hosts->entries, hosts->count * sizeof(*entries));
    hosts->entries = entries;
}

sheaf_router_t *sheaf_hosts_router(sheaf_hosts_t *hosts, sheaf_str_t pattern)
{
    char room[KEY_ROOM];
    sheaf_str_t key = key_of(pattern, room);
    bool is_there;
    uint32_t at = place_of(hosts, key, &is_there);

    if (is_there)
        return hosts->entries[at].router;
    make_room(hosts);
    memmove(hosts->entries + at + 1, hosts->entries + at, (hosts->count - at) * sizeof(*hosts->entries));
    hosts->entries[at] = (entry_t){sheaf_pool_dup(hosts->pool, key), sheaf_router_new(hosts->pool)};
    hosts->count++;
    return hosts->entries[at].router;
}

void sheaf_hosts_build(sheaf_hosts_t *hosts)
{
    for (uint32_t i = 0; i < hosts->count; i++)
        sheaf_router_build(hosts->entries[i].router);
}

/* --- finding --- */

/* Does a template of `name` fit the path? Then *ret_match has all there is to say. */
static bool fits(const sheaf_hosts_t *hosts, sheaf_str_t name, sheaf_str_t path, sheaf_str_t method,
                 sheaf_match_t *ret_match)
{
    bool is_there;
    uint32_t at = place_of(hosts, name, &is_there);

    return is_there &&
           (sheaf_router_find(hosts->entries[at].router, path, method, ret_match) || ret_match->allow.base != NULL);
}

bool sheaf_hosts_find(const sheaf_hosts_t *hosts, const sheaf_router_t *any, sheaf_str_t host, sheaf_str_t path,
                      sheaf_str_t method, sheaf_match_t *ret_match)
{
    char room[SHEAF_HOST_MAX + 1];

    if (!sheaf_host_fold(host, room, &host))
        return sheaf_router_find(any, path, method, ret_match);
    if (fits(hosts, host, path, method, ret_match))
        return ret_match->route != SHEAF_NO_ROUTE;
    for (size_t i = 1; i < host.len && host.base[0] != '['; i++)
        if (host.base[i] == '.' && fits(hosts, sheaf_str(host.base + i, host.len - i), path, method, ret_match))
            return ret_match->route != SHEAF_NO_ROUTE;
    return sheaf_router_find(any, path, method, ret_match);
}
