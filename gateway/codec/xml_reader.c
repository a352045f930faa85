#include "gateway/codec/xml_reader.h"

#include <stdarg.h>
#include <stdio.h>

#include "gateway/codec/word.h"

/* --- refusals --- */

void sheaf_xml_locate(sheaf_xml_reader_t *reader, size_t at)
{
    sheaf_json_position(reader->doc, at, &reader->fail->line, &reader->fail->column);
}

void sheaf_xml_refuse(sheaf_xml_reader_t *reader, sheaf_err_t err, const char *format, ...)
{
    XML_Index at = XML_GetCurrentByteIndex(reader->parser);
    char detail[sizeof(reader->fail->detail)];
    va_list args;

    if (reader->is_refused)
        return;
    va_start(args, format);
    vsnprintf(detail, sizeof(detail), format, args);
    va_end(args);
    sheaf_fail(reader->fail, err, "%s", detail);
    sheaf_xml_locate(reader, at < 0 ? 0 : (size_t)at);
    reader->is_refused = true;
    XML_StopParser(reader->parser, XML_FALSE);
}

/* --- attributes --- */

static const sheaf_xml_attribute_t *find_row(const sheaf_xml_attribute_t *rows, size_t count, const char *name)
{
    for (size_t i = 0; i < count; i++)
        if (strcmp(rows[i].name, name) == 0)
            return &rows[i];
    return NULL;
}

void sheaf_xml_attributes(sheaf_xml_reader_t *reader, const char *element, const XML_Char **attributes,
                          const sheaf_xml_attribute_t *rows, size_t count)
{
    for (uint32_t i = 0; attributes[i] != NULL && !reader->is_refused; i += 2) {
        const sheaf_xml_attribute_t *row = find_row(rows, count, attributes[i]);

        if (i >= 2 * SHEAF_XML_MAX_ATTRIBUTES)
            sheaf_xml_refuse(reader, SHEAF_ERR_SYNTAX, "an element has more than %d attributes",
                             SHEAF_XML_MAX_ATTRIBUTES);
        else if (row != NULL)
            row->take(reader, sheaf_str_of(attributes[i + 1]));
        else if (strchr(attributes[i], SHEAF_XML_SEPARATOR) == NULL &&
                 reader->batch->prefer.handling != SHEAF_HANDLING_LENIENT)
            sheaf_xml_refuse(reader, SHEAF_ERR_MEMBER, "\"%.60s\" is no attribute of <%s>", attributes[i], element);
    }
}

uint64_t sheaf_xml_timeout(sheaf_xml_reader_t *reader, sheaf_str_t value)
{
    uint64_t ms;

    if (!sheaf_word_duration(value, &ms))
        sheaf_xml_refuse(reader, SHEAF_ERR_VALUE, "\"timeout\" takes a duration such as 500ms, 2s or 1m");
    else if (ms == 0)
        sheaf_xml_refuse(reader, SHEAF_ERR_VALUE, "\"timeout\" must be longer than 0");
    else
        return ms;
    return 0;
}

/* --- text --- */

static bool is_white(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

bool sheaf_xml_is_blank(sheaf_str_t text)
{
    for (size_t i = 0; i < text.len; i++)
        if (!is_white(text.base[i]))
            return false;
    return true;
}

void sheaf_xml_text_add(sheaf_xml_reader_t *reader, sheaf_str_t text)
{
    if (reader->text_size - reader->text_len < text.len) {
        reader->text_size = 2 * (reader->text_size + text.len);
        reader->text = sheaf_realloc(reader->text, reader->text_size);
    }
    if (text.len > 0)
        memcpy(reader->text + reader->text_len, text.base, text.len);
    reader->text_len += text.len;
}

sheaf_str_t sheaf_xml_text_take(sheaf_xml_reader_t *reader)
{
    sheaf_str_t text = sheaf_str(reader->text == NULL ? "" : reader->text, reader->text_len);

    reader->text_len = 0;
    return text;
}

sheaf_str_t sheaf_xml_text_trimmed(sheaf_xml_reader_t *reader)
{
    sheaf_str_t text = sheaf_xml_text_take(reader);

    while (text.len > 0 && is_white(text.base[0]))
        text = sheaf_str(text.base + 1, text.len - 1);
    while (text.len > 0 && is_white(text.base[text.len - 1]))
        text.len--;
    return sheaf_pool_dup(reader->pool, text);
}
