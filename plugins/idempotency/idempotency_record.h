/* idempotency_record - an answer as bytes: status, fields, body.
 *
 *   | status 16 | kept 16 | fields 16 | { name 16 value 16 name value } ... | body
 *
 * An answer that was not kept (too large, or cut), or whose body is still on its way to a direct client, is a record without body. */
#ifndef IDEMPOTENCY_RECORD_H
#define IDEMPOTENCY_RECORD_H

#include <stdbool.h>

#include "plugins/sheaf_plugin.h"

typedef enum idempotency_kept {
    IDEMPOTENCY_NOT_KEPT,
    IDEMPOTENCY_KEPT,
    IDEMPOTENCY_COMING,
} idempotency_kept_t;

typedef struct idempotency_record {
    char *base;
    uint32_t len, room;
    bool is_cut; /* something did not fit: it is no answer */
} idempotency_record_t;

void idempotency_record_begin(idempotency_record_t *record, char *base, uint32_t room, uint16_t status,
                              idempotency_kept_t kept);
void idempotency_record_field(idempotency_record_t *record, sheaf_p_str_t name, sheaf_p_str_t value);
void idempotency_record_body(idempotency_record_t *record, sheaf_p_str_t body);

typedef struct idempotency_reading {
    const char *at, *end;
    uint16_t status, fields, kept; /* kept: idempotency_kept_t, or what nobody knows */
} idempotency_reading_t;

/* Returns false if it is no record. Fields are read first, `fields` of them, then the body is what is left. */
bool idempotency_reading_begin(idempotency_reading_t *reading, const char *base, uint32_t len);
bool idempotency_reading_field(idempotency_reading_t *reading, sheaf_p_str_t *ret_name, sheaf_p_str_t *ret_value);
sheaf_p_str_t idempotency_reading_body(const idempotency_reading_t *reading);

/* The key out of an Idempotency-Key field: a string of structured fields ("..."), or what stands there bare. At most 255 bytes.
 * Returns false if it is none. */
bool idempotency_key_read(sheaf_p_str_t field, sheaf_p_str_t *ret_key);

#endif
