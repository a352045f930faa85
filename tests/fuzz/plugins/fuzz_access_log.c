/* What clients send, on its way into a line: the line stays one line, and JSON. */
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "plugins/access_log/access_log_format.h"

static void one_line(const access_log_out_t *out)
{
    for (size_t i = 0; i < out->len; i++)
        if ((uint8_t)out->base[i] < 0x20 || out->base[i] == 0x7f)
            abort();
}

static void as_json(sheaf_p_str_t value)
{
    char bytes[65536] = "[\"";
    access_log_out_t out = {.base = bytes, .len = 2, .room = sizeof(bytes) - 2};
    json_t *root;

    access_log_put_json(&out, value);
    one_line(&out);
    if (out.is_cut)
        abort();
    memcpy(bytes + out.len, "\"]", 2);
    root = json_loadb(bytes, out.len + 2, JSON_ALLOW_NUL, NULL);
    if (root == NULL)
        abort();
    json_decref(root);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const sheaf_p_str_t text = {(const char *)data, size}, names[] = {{"token", 5}};
    access_log_format_t format;
    char bytes[65536], small[64];
    access_log_out_t out = {.base = bytes, .room = sizeof(bytes)};

    as_json(text);
    access_log_put_text(&out, text);
    one_line(&out);
    if (access_log_mask_query(text, names, 1, small, sizeof(small)) > sizeof(small) ||
        access_log_mask_url(text, names, 1, small, sizeof(small)) > sizeof(small))
        abort();
    access_log_format_read(text, &format);
    return 0;
}
