#include "idempotency_answer.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#define KNOWN_AS "idempotency-replayed"

static bool is_text(sheaf_p_str_t text, const char *word)
{
    return text.len == strlen(word) && strncasecmp(text.base, word, text.len) == 0;
}

/* --- when it is answered --- */

static uint16_t status_of(const sheaf_p_api_t *api, sheaf_p_ref_t item)
{
    int64_t status = 0;

    api->number(item, SHEAF_P_STATUS, &status);
    return (uint16_t)status;
}

/* These failures are those in which no backend was asked. */
static bool is_unsent(sheaf_p_str_t error)
{
    static const char *const unsent[] = {"refused",      "tls",        "resolve",  "connect-timeout",     "queue-full",
                                         "breaker-open", "overloaded", "too-late", "unresolved-reference"};

    for (size_t i = 0; i < sizeof(unsent) / sizeof(unsent[0]); i++)
        if (is_text(error, unsent[i]))
            return true;
    return false;
}

/* What a second try might change is not remembered: failures there, and who may not (yet). */
static bool is_final(int64_t status)
{
    static const int64_t open[] = {401, 403, 408, 409, 425, 429};

    for (size_t i = 0; i < sizeof(open) / sizeof(open[0]); i++)
        if (status == open[i])
            return false;
    return status >= 200 && status < 500;
}

idempotency_end_t idempotency_answer_end(const sheaf_p_api_t *api, sheaf_p_ref_t item)
{
    sheaf_p_str_t error;

    if (api->text(item, SHEAF_P_ERROR, &error) == 1 && error.len > 0)
        return is_unsent(error)                     ? IDEMPOTENCY_END_FREE
               : is_text(error, "answer-too-large") ? IDEMPOTENCY_END_UNSEEN
                                                    : IDEMPOTENCY_END_DOUBT;
    return is_final(status_of(api, item)) ? IDEMPOTENCY_END_FINAL : IDEMPOTENCY_END_FREE;
}

/* Not what was meant for that one answer, or is said anew. */
static bool is_kept_field(sheaf_p_str_t name)
{
    static const char *const not [] = {"set-cookie", "content-length",   "date",
                                       "ratelimit",  "ratelimit-policy", KNOWN_AS};

    for (size_t i = 0; i < sizeof(not ) / sizeof(not [0]); i++)
        if (is_text(name, not [i]))
            return false;
    return true;
}

void idempotency_answer_note(const sheaf_p_api_t *api, sheaf_p_ref_t item, idempotency_kept_t kept, char *base,
                             uint32_t room, idempotency_record_t *ret_record)
{
    idempotency_record_begin(ret_record, base, room, status_of(api, item), kept);
}

void idempotency_answer_keep(const sheaf_p_api_t *api, sheaf_p_ref_t item, sheaf_p_str_t body, char *base,
                             uint32_t room, idempotency_record_t *ret_record)
{
    idempotency_record_t record;
    sheaf_p_str_t name, value;

    idempotency_record_begin(&record, base, room, status_of(api, item), IDEMPOTENCY_KEPT);
    for (uint32_t i = 0; api->header_at(item, SHEAF_P_RESULT, i, &name, &value) == 1; i++)
        if (is_kept_field(name))
            idempotency_record_field(&record, name, value);
    idempotency_record_body(&record, body);
    if (record.is_cut)
        idempotency_answer_note(api, item, IDEMPOTENCY_NOT_KEPT, base, room, &record);
    *ret_record = record;
}

/* --- when it is given again --- */

static void copy(sheaf_p_str_t text, char *buffer, size_t room)
{
    snprintf(buffer, room, "%.*s", (int)text.len, text.base);
}

idempotency_kept_t idempotency_answer_replay(const sheaf_p_api_t *api, sheaf_p_ref_t item, const char *base,
                                             uint32_t len)
{
    idempotency_reading_t reading, body;
    sheaf_p_str_t name, value;
    char text[256], type[256] = "";

    if (!idempotency_reading_begin(&reading, base, len) || !is_final(reading.status))
        return IDEMPOTENCY_NOT_KEPT;
    if (reading.kept != IDEMPOTENCY_KEPT)
        return reading.kept == IDEMPOTENCY_COMING ? IDEMPOTENCY_COMING : IDEMPOTENCY_NOT_KEPT;
    for (body = reading; idempotency_reading_field(&body, &name, &value);)
        if (is_text(name, "content-type"))
            copy(value, type, sizeof(type));
    api->answer(item, reading.status, type[0] == 0 ? NULL : type, idempotency_reading_body(&body));
    while (idempotency_reading_field(&reading, &name, &value)) {
        copy(name, text, sizeof(text));
        if (!is_text(name, "content-type"))
            api->header_add(item, SHEAF_P_RESULT, text, value);
    }
    api->header_set(item, SHEAF_P_RESULT, KNOWN_AS, sheaf_p_str("true", 4));
    return IDEMPOTENCY_KEPT;
}
