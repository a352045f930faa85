#include "gateway/base/base64.h"

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

static int digit(char c, bool *has_std, bool *has_url)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    *has_std |= c == '+' || c == '/';
    *has_url |= c == '-' || c == '_';
    return c == '+' || c == '-' ? 62 : c == '/' || c == '_' ? 63 : -1;
}

static bool strip_padding(sheaf_str_t *text)
{
    size_t padding = 0;

    while (padding < 2 && text->len > 0 && text->base[text->len - 1] == '=') {
        text->len--;
        padding++;
    }
    return text->len % 4 != 1 && (padding == 0 || (text->len + padding) % 4 == 0);
}

bool sheaf_base64_decode(sheaf_pool_t *pool, sheaf_str_t text, sheaf_str_t *ret_bytes)
{
    bool has_std = false, has_url = false;
    uint32_t bits = 0, count = 0;
    char *bytes, *dst;

    if (!strip_padding(&text))
        return false;
    bytes = dst = sheaf_pool_alloc(pool, text.len / 4 * 3 + 3);
    for (size_t i = 0; i < text.len; i++) {
        int value = digit(text.base[i], &has_std, &has_url);
        if (value < 0)
            return false;
        bits = (bits << 6 | (uint32_t)value) & 0xffff;
        count += 6;
        if (count >= 8) {
            count -= 8;
            *dst++ = (char)(bits >> count);
        }
    }
    if ((has_std && has_url) || (bits & ((1u << count) - 1)) != 0)
        return false;
    *ret_bytes = sheaf_str(bytes, (size_t)(dst - bytes));
    return true;
}

static void put_group(const uint8_t in[3], char out[4])
{
    out[0] = alphabet[in[0] >> 2];
    out[1] = alphabet[(in[0] & 3) << 4 | in[1] >> 4];
    out[2] = alphabet[(in[1] & 15) << 2 | in[2] >> 6];
    out[3] = alphabet[in[2] & 63];
}

static void whole_groups(const uint8_t *bytes, size_t groups, sheaf_out_t *out)
{
    while (groups > 0) {
        size_t run = groups < 1000 ? groups : 1000;
        char *dst = sheaf_out_reserve(out, run * 4);

        for (size_t i = 0; i < run; i++, bytes += 3)
            put_group(bytes, dst + i * 4);
        sheaf_out_commit(out, run * 4);
        groups -= run;
    }
}

void sheaf_base64_feed(sheaf_base64_t *state, const char *bytes, size_t len, sheaf_out_t *out)
{
    const uint8_t *at = (const uint8_t *)bytes, *end = at + len;

    while (state->count > 0 && at < end) {
        state->left[state->count++] = *at++;
        if (state->count == 3) {
            whole_groups(state->left, 1, out);
            state->count = 0;
        }
    }
    whole_groups(at, (size_t)(end - at) / 3, out);
    at += (size_t)(end - at) / 3 * 3;
    while (at < end)
        state->left[state->count++] = *at++;
}

void sheaf_base64_finish(sheaf_base64_t *state, sheaf_out_t *out)
{
    char text[4];

    if (state->count == 0)
        return;
    for (int i = state->count; i < 3; i++)
        state->left[i] = 0;
    put_group(state->left, text);
    for (int i = state->count + 1; i < 4; i++)
        text[i] = '=';
    sheaf_out_put(out, text, 4);
    state->count = 0;
}
