#include "gateway/batch/kept.h"

void sheaf_kept_lose(sheaf_kept_t *kept)
{
    sheaf_buf_drop(kept->body);
    kept->body = NULL;
    if (kept->state != SHEAF_KEPT_NONE)
        kept->state = SHEAF_KEPT_LOST;
}

void sheaf_kept_ask(sheaf_kept_t *kept, uint64_t most_bytes)
{
    if (kept->state == SHEAF_KEPT_NONE)
        kept->state = SHEAF_KEPT_KEEPING;
    if (most_bytes > kept->most_bytes)
        kept->most_bytes = most_bytes;
}

void sheaf_kept_put(sheaf_kept_t *kept, const char *bytes, size_t len)
{
    if (kept->state != SHEAF_KEPT_KEEPING || len == 0)
        return;
    if (kept->body == NULL)
        kept->body = sheaf_buf_new((size_t)kept->most_bytes, len);
    if (!sheaf_buf_append(kept->body, bytes, len))
        sheaf_kept_lose(kept);
}

void sheaf_kept_fill(sheaf_kept_t *kept, const sheaf_out_t *out)
{
    if (kept->state != SHEAF_KEPT_KEEPING || kept->is_filled)
        return;
    kept->is_filled = true;
    kept->body = sheaf_buf_new((size_t)kept->most_bytes, out->len);
    if (!sheaf_out_copy(out, kept->body))
        sheaf_kept_lose(kept);
}

void sheaf_kept_take(sheaf_kept_t *kept, sheaf_buf_t *body)
{
    if (kept->state != SHEAF_KEPT_KEEPING)
        return;
    if (body != NULL && body->len > kept->most_bytes) {
        sheaf_kept_lose(kept);
        return;
    }
    sheaf_buf_drop(kept->body);
    kept->body = body == NULL ? NULL : sheaf_buf_hold(body);
    kept->state = SHEAF_KEPT_WHOLE;
}

void sheaf_kept_end(sheaf_kept_t *kept, bool is_whole)
{
    if (kept->state != SHEAF_KEPT_KEEPING)
        return;
    if (is_whole)
        kept->state = SHEAF_KEPT_WHOLE;
    else
        sheaf_kept_lose(kept);
}
