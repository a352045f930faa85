#include "gateway/codec/fragment.h"

#include <expat.h>

typedef struct check {
    XML_Parser parser;
    uint32_t depth;
    bool is_refused, has_declaration;
} check_t;

static void refuse(check_t *check)
{
    check->is_refused = true;
    XML_StopParser(check->parser, XML_FALSE);
}

/* A body that says it is not UTF-8 would be read differently inside our document than alone. */
static void on_declaration(void *data, const XML_Char *version, const XML_Char *encoding, int standalone)
{
    sheaf_str_t name = encoding != NULL ? sheaf_str_of(encoding) : SHEAF_STR("utf-8");
    check_t *check = data;

    (void)standalone;
    check->has_declaration = true;
    if (version != NULL && strcmp(version, "1.0") != 0)
        refuse(check);
    else if (!sheaf_str_ieq(name, SHEAF_STR("utf-8")) && !sheaf_str_ieq(name, SHEAF_STR("us-ascii")))
        refuse(check);
}

/* A document type cannot stand inside a document, and entities are how XML is made to explode. */
static void on_doctype(void *data, const XML_Char *name, const XML_Char *system, const XML_Char *public, int internal)
{
    (void)name;
    (void)system;
    (void)public;
    (void)internal;
    refuse(data);
}

static void on_start(void *data, const XML_Char *name, const XML_Char **attributes)
{
    check_t *check = data;

    (void)name;
    (void)attributes;
    if (++check->depth > SHEAF_FRAGMENT_MAX_DEPTH)
        refuse(check);
}

static void on_end(void *data, const XML_Char *name)
{
    check_t *check = data;

    (void)name;
    check->depth--;
}

static bool feed(check_t *check, const char *bytes, size_t len, bool is_last)
{
    while (len > 0 || is_last) {
        int step = len > (1 << 20) ? 1 << 20 : (int)len;
        int is_final = is_last && (size_t)step == len;

        if (XML_Parse(check->parser, bytes, step, is_final) != XML_STATUS_OK || check->is_refused)
            return false;
        bytes += step;
        len -= (size_t)step;
        if (is_final)
            return true;
    }
    return true;
}

static bool is_well_formed(const sheaf_buf_t *body, size_t skipped, bool *ret_has_declaration)
{
    check_t check = {.parser = XML_ParserCreateNS("UTF-8", ' ')};
    bool is_ok = check.parser != NULL;

    if (!is_ok)
        return false;
    XML_SetUserData(check.parser, &check);
    XML_SetXmlDeclHandler(check.parser, on_declaration);
    XML_SetStartDoctypeDeclHandler(check.parser, on_doctype);
    XML_SetElementHandler(check.parser, on_start, on_end);
    for (const sheaf_chunk_t *chunk = &body->first; is_ok && chunk != NULL; chunk = chunk->next) {
        size_t from = chunk == &body->first ? skipped : 0;

        is_ok = feed(&check, chunk->bytes + from, chunk->len - from, chunk->next == NULL);
    }
    XML_ParserFree(check.parser);
    *ret_has_declaration = check.has_declaration;
    return is_ok;
}

/* Bytes up to and including the `?>` that ends the declaration; only called where one has been read. */
static size_t declaration_len(const sheaf_buf_t *body)
{
    size_t len = 0;
    char before = '\0';

    for (const sheaf_chunk_t *chunk = &body->first; chunk != NULL; chunk = chunk->next) {
        for (size_t i = 0; i < chunk->len; i++) {
            len++;
            if (before == '?' && chunk->bytes[i] == '>')
                return len;
            before = chunk->bytes[i];
        }
    }
    return len;
}

bool sheaf_fragment_check(const sheaf_buf_t *body, size_t *ret_start)
{
    size_t mark = body->first.len >= 3 && memcmp(body->first.bytes, "\xef\xbb\xbf", 3) == 0 ? 3 : 0;
    bool has_declaration = false;

    if (!is_well_formed(body, mark, &has_declaration))
        return false;
    *ret_start = has_declaration ? declaration_len(body) : mark;
    return true;
}
