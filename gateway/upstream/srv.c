/* upstream/srv.c - see srv.h. */
#include "gateway/upstream/srv.h"

#include <string.h>

#include "gateway/base/str.h"

#define HEADER_SIZE 12
#define CLASS_IN    1
#define TYPE_CNAME  5
#define TYPE_SRV    33

/* A DNS message and how far it is read; at > len: it ended too early. */
typedef struct reader {
    const uint8_t *bytes;
    size_t len, at;
} reader_t;

typedef struct record {
    uint16_t type, class;
    uint32_t ttl_s;
    size_t end; /* of its data, which begin where the reader is */
} record_t;

static uint16_t read_u16(reader_t *in)
{
    size_t at = in->at;

    in->at += 2;
    return (uint16_t)(in->at <= in->len ? in->bytes[at] << 8 | in->bytes[at + 1] : 0);
}

static uint32_t read_u32(reader_t *in)
{
    uint32_t high = read_u16(in);

    return high << 16 | read_u16(in);
}

/* RFC 1035 4.1.4: a name's labels, the last of which may point to where the rest of it was written before. */
static bool skip_name(reader_t *in)
{
    while (in->at < in->len) {
        uint8_t size = in->bytes[in->at++];

        if (size >= 0xC0)
            return ++in->at <= in->len;
        if (size == 0 || size > 63)
            return size == 0;
        in->at += size;
    }
    return false;
}

static bool is_of_hosts(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_';
}

/* One label of a host name behind `dst`, and its dot. */
static bool put_label(const uint8_t *label, size_t size, char *dst, size_t *len)
{
    if (*len + size + 1 >= SHEAF_SRV_HOST_SIZE - 1) /* RFC 1035 2.3.4, as text */
        return false;
    for (size_t i = 0; i < size; i++) {
        char c = sheaf_lower((char)label[i]);

        if (!is_of_hosts(c))
            return false;
        dst[(*len)++] = c;
    }
    dst[(*len)++] = '.';
    return true;
}

/* The name at `at` as a host with its root dot; "" is the root itself. Each pointer leads to before the last one, so there
 * is an end. */
static bool read_host(const reader_t *in, size_t at, char *dst)
{
    size_t len = 0, before = at;

    while (at < in->len && in->bytes[at] != 0) {
        uint8_t size = in->bytes[at];

        if (size >= 0xC0) {
            if (at + 1 >= in->len)
                return false;
            at = (size_t)(size & 0x3F) << 8 | in->bytes[at + 1];
            if (at >= before)
                return false;
            before = at;
            continue;
        }
        if (size > 63 || at + 1 + size > in->len || !put_label(in->bytes + at + 1, size, dst, &len))
            return false;
        at += 1u + size;
    }
    dst[len] = '\0';
    return at < in->len;
}

static bool read_record(reader_t *in, record_t *ret_record)
{
    size_t size;

    if (!skip_name(in))
        return false;
    ret_record->type = read_u16(in);
    ret_record->class = read_u16(in);
    ret_record->ttl_s = read_u32(in);
    size = read_u16(in);
    ret_record->end = in->at + size;
    return ret_record->end <= in->len;
}

static int compare(const sheaf_target_t *a, const sheaf_target_t *b)
{
    int by_host;

    if (a->priority != b->priority)
        return a->priority < b->priority ? -1 : 1;
    if (a->weight != b->weight)
        return a->weight > b->weight ? -1 : 1;
    by_host = strcmp(a->host, b->host);
    return by_host != 0 ? by_host : (a->port > b->port) - (a->port < b->port);
}

/* False when it is there already, and better. */
static bool remove_worse_twin(sheaf_targets_t *targets, const sheaf_target_t *target)
{
    for (uint32_t i = 0; i < targets->count; i++) {
        sheaf_target_t *other = &targets->items[i];

        if (other->port != target->port || strcmp(other->host, target->host) != 0)
            continue;
        if (compare(other, target) <= 0)
            return false;
        targets->count--;
        memmove(other, other + 1, (targets->count - i) * sizeof(*other));
        return true;
    }
    return true;
}

/* In its place; what is beyond the limit then falls off the end. */
static void add_target(sheaf_targets_t *targets, const sheaf_target_t *target)
{
    uint32_t at;

    if (!remove_worse_twin(targets, target))
        return;
    at = targets->count;
    while (at > 0 && compare(target, &targets->items[at - 1]) < 0)
        at--;
    if (at == SHEAF_SRV_MAX_TARGETS)
        return;
    targets->count += targets->count < SHEAF_SRV_MAX_TARGETS;
    memmove(&targets->items[at + 1], &targets->items[at], (targets->count - 1 - at) * sizeof(*target));
    targets->items[at] = *target;
}

/* RFC 2782: priority, weight, port, target. False when it is malformed. */
static bool read_srv(reader_t *in, const record_t *record, sheaf_targets_t *targets, bool *is_denied)
{
    sheaf_target_t target;
    size_t at;

    target.priority = read_u16(in);
    target.weight = read_u16(in);
    target.port = read_u16(in);
    at = in->at;
    if (at >= record->end || !skip_name(in) || in->at != record->end)
        return false;
    if (!read_host(in, at, target.host))
        return true; /* not a host: of no use, and no reason to doubt the others */
    if (target.host[0] == '\0')
        *is_denied = true;
    else if (target.port != 0)
        add_target(targets, &target);
    return true;
}

static void note_ttl(sheaf_targets_t *targets, uint32_t ttl_s)
{
    if (ttl_s > INT32_MAX) /* RFC 2181 8 */
        ttl_s = 0;
    if (ttl_s < targets->ttl_s)
        targets->ttl_s = ttl_s;
}

bool sheaf_srv_parse(const uint8_t *bytes, size_t len, sheaf_targets_t *ret_targets)
{
    reader_t in = {bytes, len, 4};
    uint32_t questions = read_u16(&in), answers = read_u16(&in);
    sheaf_targets_t *targets = ret_targets;
    bool is_denied = false;

    targets->count = 0;
    targets->ttl_s = UINT32_MAX;
    for (in.at = HEADER_SIZE; questions > 0; questions--, in.at += 4)
        if (!skip_name(&in))
            return false;
    for (; answers > 0; answers--) {
        record_t record;

        if (!read_record(&in, &record))
            return false;
        if (record.class == CLASS_IN && (record.type == TYPE_SRV || record.type == TYPE_CNAME))
            note_ttl(targets, record.ttl_s);
        if (record.class == CLASS_IN && record.type == TYPE_SRV && !read_srv(&in, &record, targets, &is_denied))
            return false;
        in.at = record.end;
    }
    return targets->count != 0 || is_denied;
}
