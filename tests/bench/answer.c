#include "tests/bench/answer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void answer_reset(answer_t *answer)
{
    answer->len = answer->body_at = answer->end_at = 0;
}

void answer_room(answer_t *answer, uv_buf_t *ret_buf)
{
    if (answer->size - answer->len < 65536) {
        answer->size = answer->size * 2 + 131072;
        answer->in = realloc(answer->in, answer->size + 1);
        if (answer->in == NULL)
            abort();
    }
    *ret_buf = uv_buf_init(answer->in + answer->len, (unsigned)(answer->size - answer->len));
}

/* Finds out how the answer ends; false while the head is not whole. */
static bool read_head(answer_t *answer)
{
    const char *end = memmem(answer->in, answer->len, "\r\n\r\n", 4), *length;

    if (end == NULL)
        return false;
    answer->in[answer->len] = '\0';
    length = strcasestr(answer->in, "\r\ncontent-length:");
    answer->body_at = answer->end_at = (size_t)(end + 4 - answer->in);
    answer->is_chunked = length == NULL || length > end;
    if (!answer->is_chunked)
        answer->end_at += strtoul(length + 17, NULL, 10);
    return true;
}

/* Cuts the chunk line at end_at out of the bytes. 1: another chunk follows; 0: not whole yet; -1: it was the last. */
static int cut_chunk_line(answer_t *answer)
{
    char *line = answer->in + answer->end_at + (answer->end_at > answer->body_at ? 2 : 0), *end;
    size_t chunk, cut;

    if (line >= answer->in + answer->len)
        return 0;
    end = memmem(line, (size_t)(answer->in + answer->len - line), "\r\n", 2);
    if (end == NULL)
        return 0;
    chunk = strtoul(line, NULL, 16);
    cut = (size_t)(end + 2 - (answer->in + answer->end_at));
    if (chunk == 0)
        return answer->in + answer->len >= end + 4 ? -1 : 0;
    memmove(answer->in + answer->end_at, end + 2, (size_t)(answer->in + answer->len - (end + 2)));
    answer->len -= cut;
    answer->end_at += chunk;
    return 1;
}

bool answer_is_whole(answer_t *answer)
{
    int more = 1;

    if (answer->body_at == 0 && !read_head(answer))
        return false;
    if (!answer->is_chunked)
        return answer->len >= answer->end_at;
    while (more == 1 && answer->len >= answer->end_at)
        more = cut_chunk_line(answer);
    return more == -1;
}

unsigned answer_count(const answer_t *answer, const char *mark)
{
    size_t mark_len = strlen(mark);
    const char *bytes = answer->in + answer->body_at, *end = answer->in + answer->end_at, *at;
    unsigned count = 0;

    for (; (at = memmem(bytes, (size_t)(end - bytes), mark, mark_len)) != NULL; bytes = at + mark_len)
        count++;
    return count;
}

static char *read_all(FILE *file, size_t *ret_len)
{
    char *bytes;
    long len;

    if (fseek(file, 0, SEEK_END) != 0 || (len = ftell(file)) < 0)
        return NULL;
    rewind(file);
    bytes = malloc((size_t)len + 1);
    if (bytes != NULL && fread(bytes, 1, (size_t)len, file) != (size_t)len) {
        free(bytes);
        return NULL;
    }
    *ret_len = (size_t)len;
    return bytes;
}

char *post_read(const char *path, const char *type, const char *accept, const char *more, size_t *ret_len)
{
    FILE *file = fopen(path, "rb");
    size_t body_len = 0, head_len;
    char *body = file == NULL ? NULL : read_all(file, &body_len), *post;

    if (file != NULL)
        fclose(file);
    if (body == NULL)
        return NULL;
    post = malloc(body_len + strlen(type) + strlen(accept) + strlen(more) + 256);
    if (post == NULL)
        abort();
    head_len = (size_t)sprintf(post,
                               "POST /batch HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: %s\r\n"
                               "Accept: %s\r\n%s%sContent-Length: %zu\r\n\r\n",
                               type, accept, more, *more == '\0' ? "" : "\r\n", body_len);
    memcpy(post + head_len, body, body_len);
    free(body);
    *ret_len = head_len + body_len;
    return post;
}
