#include "gateway/front/guard/shadow.h"

#include <nghttp2/nghttp2.h>
#include <string.h>
#include <strings.h>

static bool is_called(const nghttp2_nv *field, const char *name)
{
    size_t len = strlen(name);

    return field->namelen == len && memcmp(field->name, name, len) == 0;
}

static bool has_value(const nghttp2_nv *field, const char *value)
{
    size_t len = strlen(value);

    return field->valuelen == len && strncasecmp((const char *)field->value, value, len) == 0;
}

static void look(const nghttp2_nv *field, sheaf_shadow_seen_t *seen)
{
    if (is_called(field, ":scheme")) {
        seen->is_http = has_value(field, "http") || has_value(field, "https");
    } else if (is_called(field, "content-length")) {
        seen->content_lengths++;
    } else if (is_called(field, "host")) {
        seen->hosts++;
        seen->host_len = field->valuelen <= sizeof(seen->host) ? field->valuelen : 0;
        memcpy(seen->host, field->value, seen->host_len);
    }
}

bool sheaf_shadow_read(sheaf_shadow_t *shadow, const uint8_t *block, size_t len, sheaf_shadow_seen_t *ret_seen)
{
    int flags = 0;

    memset(ret_seen, 0, offsetof(sheaf_shadow_seen_t, host));
    if (shadow->inflater == NULL && nghttp2_hd_inflate_new(&shadow->inflater) != 0)
        return false;
    while ((flags & NGHTTP2_HD_INFLATE_FINAL) == 0) {
        nghttp2_nv field;
        ssize_t used = nghttp2_hd_inflate_hd2(shadow->inflater, &field, &flags, block, len, 1);

        if (used < 0)
            return false;
        block += used;
        len -= (size_t)used;
        if ((flags & NGHTTP2_HD_INFLATE_EMIT) != 0)
            look(&field, ret_seen);
        else if ((flags & NGHTTP2_HD_INFLATE_FINAL) == 0 && used == 0)
            return false;
    }
    return nghttp2_hd_inflate_end_headers(shadow->inflater) == 0;
}

void sheaf_shadow_fini(sheaf_shadow_t *shadow)
{
    if (shadow->inflater != NULL)
        nghttp2_hd_inflate_del(shadow->inflater);
    shadow->inflater = NULL;
}
