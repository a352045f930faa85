/* codec/xml_scope.c - a body is cut out of its document, but its prefixes may be declared further out.
 *
 * Which of them it uses cannot be seen from its names alone (xsi:type="xs:string" uses two), so all that are in scope go
 * along, except our own namespace unless a name is in it, and except those that the element declares itself. */
#include "gateway/codec/xml_reader.h"

#include <stdio.h>

static sheaf_str_t str_or_empty(const XML_Char *text)
{
    return text == NULL ? SHEAF_STR("") : sheaf_str_of(text);
}

static void hide(sheaf_xml_reader_t *reader, sheaf_str_t prefix)
{
    for (uint32_t i = 0; i < reader->scope_count; i++)
        if (sheaf_str_eq(reader->scope[i].prefix, prefix))
            reader->scope[i].is_hidden = true;
}

void sheaf_xml_scope_declare(sheaf_xml_reader_t *reader, const XML_Char *prefix, const XML_Char *uri)
{
    sheaf_str_t name = str_or_empty(prefix), value = str_or_empty(uri);

    if (reader->place == SHEAF_XML_IN_BODY)
        return;
    if (reader->place == SHEAF_XML_BODY) {
        hide(reader, name);
        return;
    }
    if (reader->scope_count == SHEAF_XML_MAX_SCOPE ||
        reader->scope_len + name.len + value.len > SHEAF_XML_MAX_SCOPE_LEN) {
        sheaf_xml_refuse(reader, SHEAF_ERR_VALUE, "too many namespaces are declared around the bodies");
        return;
    }
    reader->scope_len += name.len + value.len;
    reader->scope[reader->scope_count++] = (sheaf_xml_declaration_t){
        .prefix = sheaf_pool_dup(reader->pool, name),
        .uri = sheaf_pool_dup(reader->pool, value),
        .depth = reader->depth + 1,
    };
}

void sheaf_xml_scope_leave(sheaf_xml_reader_t *reader)
{
    while (reader->scope_count > 0 && reader->scope[reader->scope_count - 1].depth > reader->depth) {
        const sheaf_xml_declaration_t *last = &reader->scope[--reader->scope_count];

        reader->scope_len -= last->prefix.len + last->uri.len;
    }
}

static bool is_shadowed(const sheaf_xml_reader_t *reader, uint32_t index)
{
    for (uint32_t i = index + 1; i < reader->scope_count; i++)
        if (sheaf_str_eq(reader->scope[i].prefix, reader->scope[index].prefix))
            return true;
    return false;
}

static bool is_wanted(const sheaf_xml_reader_t *reader, uint32_t index)
{
    const sheaf_xml_declaration_t *declaration = &reader->scope[index];

    if (declaration->is_hidden || declaration->uri.len == 0 || is_shadowed(reader, index))
        return false;
    if (!sheaf_str_eq(declaration->uri, SHEAF_STR(SHEAF_XML_NAMESPACE)))
        return true;
    return declaration->prefix.len > 0 && reader->uses_own;
}

static void put(char **at, sheaf_str_t s)
{
    memcpy(*at, s.base, s.len);
    *at += s.len;
}

/* The inside of an attribute value in double quotes. */
static void put_value(char **at, sheaf_str_t value)
{
    for (size_t i = 0; i < value.len; i++) {
        char c = value.base[i];

        if (c == '&' || c == '<' || c == '"' || (c >= 0 && c < 0x20))
            *at += sprintf(*at, "&#%d;", c);
        else
            *(*at)++ = c;
    }
}

/* Bytes of `<` and the name. */
static size_t tag_len(sheaf_str_t element)
{
    size_t len = 0;

    while (len < element.len && strchr(" \t\r\n/>", element.base[len]) == NULL)
        len++;
    return len;
}

static void put_declaration(char **at, const sheaf_xml_declaration_t *declaration)
{
    put(at, declaration->prefix.len > 0 ? SHEAF_STR(" xmlns:") : SHEAF_STR(" xmlns"));
    put(at, declaration->prefix);
    put(at, SHEAF_STR("=\""));
    put_value(at, declaration->uri);
    put(at, SHEAF_STR("\""));
}

/* Bytes that the wanted declarations take at most. */
static size_t declarations_len(const sheaf_xml_reader_t *reader)
{
    size_t len = 0;

    for (uint32_t i = 0; i < reader->scope_count; i++)
        if (is_wanted(reader, i)) /* a character of the uri becomes five at most */
            len += sizeof(" xmlns:=\"\"") + reader->scope[i].prefix.len + 5 * reader->scope[i].uri.len;
    return len;
}

sheaf_str_t sheaf_xml_scope_body(const sheaf_xml_reader_t *reader)
{
    sheaf_str_t element = sheaf_str(reader->doc.base + reader->root_at, reader->root_end - reader->root_at);
    size_t tag = tag_len(element), more = declarations_len(reader);
    char *start, *at;

    if (more == 0)
        return element;
    start = at = sheaf_pool_alloc(reader->pool, element.len + more);
    put(&at, sheaf_str(element.base, tag));
    for (uint32_t i = 0; i < reader->scope_count; i++)
        if (is_wanted(reader, i))
            put_declaration(&at, &reader->scope[i]);
    put(&at, sheaf_str(element.base + tag, element.len - tag));
    return sheaf_str(start, (size_t)(at - start));
}
