#include "idempotency_record.h"

#include <string.h>

#define HEAD_BYTES 6
#define KEY_MAX    255

static void put(idempotency_record_t *record, const void *bytes, size_t len)
{
    if (record->is_cut || len > record->room - record->len) {
        record->is_cut = true;
        return;
    }
    if (len > 0)
        memcpy(record->base + record->len, bytes, len);
    record->len += (uint32_t)len;
}

static void put_16(idempotency_record_t *record, uint16_t n)
{
    put(record, &n, sizeof(n));
}

void idempotency_record_begin(idempotency_record_t *record, char *base, uint32_t room, uint16_t status, bool is_kept)
{
    *record = (idempotency_record_t){.base = base, .room = room};
    put_16(record, status);
    put_16(record, is_kept);
    put_16(record, 0);
}

void idempotency_record_field(idempotency_record_t *record, sheaf_p_str_t name, sheaf_p_str_t value)
{
    uint16_t count;

    if (name.len > UINT16_MAX || value.len > UINT16_MAX || record->len < HEAD_BYTES) {
        record->is_cut = true;
        return;
    }
    put_16(record, (uint16_t)name.len);
    put_16(record, (uint16_t)value.len);
    put(record, name.base, name.len);
    put(record, value.base, value.len);
    memcpy(&count, record->base + 4, sizeof(count));
    if (++count == 0)
        record->is_cut = true;
    memcpy(record->base + 4, &count, sizeof(count));
}

void idempotency_record_body(idempotency_record_t *record, sheaf_p_str_t body)
{
    put(record, body.base, body.len);
}

bool idempotency_reading_begin(idempotency_reading_t *reading, const char *base, uint32_t len)
{
    uint16_t head[HEAD_BYTES / 2];

    if (len < HEAD_BYTES)
        return false;
    memcpy(head, base, HEAD_BYTES);
    *reading = (idempotency_reading_t){base + HEAD_BYTES, base + len, head[0], head[2], head[1] != 0};
    return true;
}

bool idempotency_reading_field(idempotency_reading_t *reading, sheaf_p_str_t *ret_name, sheaf_p_str_t *ret_value)
{
    uint16_t lens[2];

    if (reading->fields == 0 || reading->end - reading->at < (ptrdiff_t)sizeof(lens))
        return false;
    memcpy(lens, reading->at, sizeof(lens));
    if (reading->end - reading->at - (ptrdiff_t)sizeof(lens) < lens[0] + lens[1])
        return false;
    reading->fields--;
    *ret_name = sheaf_p_str(reading->at + sizeof(lens), lens[0]);
    *ret_value = sheaf_p_str(ret_name->base + lens[0], lens[1]);
    reading->at += sizeof(lens) + lens[0] + lens[1];
    return true;
}

sheaf_p_str_t idempotency_reading_body(const idempotency_reading_t *reading)
{
    return sheaf_p_str(reading->at, (size_t)(reading->end - reading->at));
}

bool idempotency_key_read(sheaf_p_str_t field, sheaf_p_str_t *ret_key)
{
    const bool is_string = field.len >= 2 && field.base[0] == '"' && field.base[field.len - 1] == '"';
    const sheaf_p_str_t key = is_string ? sheaf_p_str(field.base + 1, field.len - 2) : field;

    if (key.len == 0 || key.len > KEY_MAX)
        return false;
    for (size_t i = 0; i < key.len; i++)
        if (key.base[i] < 0x20 || key.base[i] > 0x7e || key.base[i] == '"' || key.base[i] == '\\' ||
            (!is_string && key.base[i] == ' '))
            return false;
    *ret_key = key;
    return true;
}
