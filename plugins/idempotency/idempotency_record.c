#include "idempotency_record.h"

#include <string.h>

#define HEAD_BYTES 6
#define LENS_BYTES 4
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

/* The low byte first, on every machine: they may share a store. */
static void put_16(idempotency_record_t *record, uint16_t n)
{
    const uint8_t bytes[2] = {(uint8_t)n, (uint8_t)(n >> 8)};

    put(record, bytes, sizeof(bytes));
}

static uint16_t get_16(const char *at)
{
    return (uint16_t)((uint8_t)at[0] | (uint16_t)((uint8_t)at[1] << 8));
}

void idempotency_record_begin(idempotency_record_t *record, char *base, uint32_t room, uint16_t status,
                              idempotency_kept_t kept)
{
    *record = (idempotency_record_t){.base = base, .room = room};
    put_16(record, status);
    put_16(record, (uint16_t)kept);
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
    count = (uint16_t)(get_16(record->base + 4) + 1);
    if (count == 0)
        record->is_cut = true;
    record->base[4] = (char)count;
    record->base[5] = (char)(count >> 8);
}

void idempotency_record_body(idempotency_record_t *record, sheaf_p_str_t body)
{
    put(record, body.base, body.len);
}

bool idempotency_reading_begin(idempotency_reading_t *reading, const char *base, uint32_t len)
{
    if (len < HEAD_BYTES)
        return false;
    *reading = (idempotency_reading_t){.at = base + HEAD_BYTES,
                                       .end = base + len,
                                       .status = get_16(base),
                                       .fields = get_16(base + 4),
                                       .kept = get_16(base + 2)};
    return true;
}

bool idempotency_reading_field(idempotency_reading_t *reading, sheaf_p_str_t *ret_name, sheaf_p_str_t *ret_value)
{
    uint16_t name, value;

    if (reading->fields == 0 || reading->end - reading->at < LENS_BYTES)
        return false;
    name = get_16(reading->at);
    value = get_16(reading->at + 2);
    if (reading->end - reading->at - LENS_BYTES < name + value)
        return false;
    reading->fields--;
    *ret_name = sheaf_p_str(reading->at + LENS_BYTES, name);
    *ret_value = sheaf_p_str(ret_name->base + name, value);
    reading->at += LENS_BYTES + name + value;
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
