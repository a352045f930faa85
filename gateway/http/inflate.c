#include "gateway/http/inflate.h"

#include <stdlib.h>
#include <zlib.h>

#include "gateway/base/pool.h"

#define PIECE_BYTES     16384u
#define PIECE_MOST      (1u << 30)  /* input that zlib is given at once: it counts in 32 bits */
#define RATIO_FROM      (64u << 10) /* a short run compresses as well as a bomb */
#define RATIO_MOST      1000u
#define OVERHEAD_BYTES  (64u << 10) /* input beyond the ceiling: heads and what does not compress */
#define GZIP_BITS       (15 + 16)
#define ZLIB_BITS       15
#define RAW_BITS        (-15)
#define GZIP_FIRST_BYTE '\x1f'

typedef enum phase {
    PHASE_START,  /* nothing has come */
    PHASE_PEEK,   /* one byte of a deflate body has: two tell what wraps it */
    PHASE_INSIDE, /* of a member */
    PHASE_BEHIND, /* a member is whole: another one, zeros, or the end */
    PHASE_ZEROS,
    PHASE_FAILED,
} phase_t;

struct sheaf_inflate {
    z_stream z;
    sheaf_coding_t coding;
    phase_t phase;
    bool is_open; /* z is to be ended */
    char first;   /* the byte of PHASE_PEEK */
    uint64_t limit_bytes, in_bytes, out_bytes;
    sheaf_inflate_take_t take;
    void *data;
    sheaf_err_t err;
    const char *why;
};

static sheaf_err_t fail(sheaf_inflate_t *self, sheaf_err_t err, const char *why)
{
    self->phase = PHASE_FAILED;
    self->err = err;
    self->why = why;
    return err;
}

static sheaf_err_t open_stream(sheaf_inflate_t *self, int bits)
{
    if (inflateInit2(&self->z, bits) != Z_OK)
        abort(); /* as sheaf_alloc: memory is all that it can lack */
    self->is_open = true;
    self->phase = PHASE_INSIDE;
    return SHEAF_OK;
}

sheaf_inflate_t *sheaf_inflate_new(sheaf_coding_t coding, uint64_t limit_bytes, sheaf_inflate_take_t take, void *data)
{
    sheaf_inflate_t *self = sheaf_zalloc(sizeof(*self));

    SHEAF_ASSERT(coding == SHEAF_CODING_GZIP || coding == SHEAF_CODING_DEFLATE);
    self->coding = coding;
    self->limit_bytes = limit_bytes;
    self->take = take;
    self->data = data;
    self->why = "";
    return self;
}

void sheaf_inflate_free(sheaf_inflate_t *self)
{
    if (self == NULL)
        return;
    if (self->is_open)
        inflateEnd(&self->z);
    free(self);
}

/* --- output --- */

static sheaf_err_t hand_out(sheaf_inflate_t *self, const char *bytes, size_t len)
{
    if (len == 0)
        return SHEAF_OK;
    self->out_bytes += len;
    if (self->out_bytes > self->limit_bytes)
        return fail(self, SHEAF_ERR_ANSWER_TOO_LARGE, "the answer is too large once it is decompressed");
    if (self->out_bytes > RATIO_FROM && self->out_bytes / RATIO_MOST > self->in_bytes)
        return fail(self, SHEAF_ERR_ANSWER_TOO_LARGE, "the answer grows more than 1,000 times as it is decompressed");
    if (!self->take(self->data, bytes, len))
        return fail(self, SHEAF_ERR_ANSWER_TOO_LARGE, "the answer is too large once it is decompressed");
    return SHEAF_OK;
}

/* Runs what the stream was given through it, up to the end of the member. */
static sheaf_err_t run(sheaf_inflate_t *self)
{
    char piece[PIECE_BYTES];
    z_stream *z = &self->z;
    int status;

    do {
        z->next_out = (Bytef *)piece;
        z->avail_out = sizeof(piece);
        status = inflate(z, Z_NO_FLUSH);
        if (status != Z_OK && status != Z_STREAM_END && status != Z_BUF_ERROR)
            return fail(self, SHEAF_ERR_MALFORMED, "the answer's content coding is damaged");
        if (hand_out(self, piece, sizeof(piece) - z->avail_out) != SHEAF_OK)
            return self->err;
    } while (status == Z_OK && (z->avail_in > 0 || z->avail_out == 0)); /* Z_BUF_ERROR: no more of either */
    if (status == Z_STREAM_END)
        self->phase = PHASE_BEHIND;
    return SHEAF_OK;
}

/* --- input --- */

/* Takes from the front of the input what belongs to the member. */
static sheaf_err_t feed_member(sheaf_inflate_t *self, const char **bytes, size_t *len)
{
    uInt given = (uInt)(*len < PIECE_MOST ? *len : PIECE_MOST);
    sheaf_err_t err;

    self->z.next_in = (Bytef *)(uintptr_t)*bytes;
    self->z.avail_in = given;
    err = run(self);
    *bytes += given - self->z.avail_in;
    *len -= given - self->z.avail_in;
    return err;
}

/* RFC 1950 2.2: CM is 8, CINFO at most 7, and the two bytes are a multiple of 31. A raw stream that begins so would be a
 * stored block with rubbish in the bits that pad it. */
static bool is_zlib(char first, char second)
{
    unsigned cmf = (unsigned char)first, flg = (unsigned char)second;

    return (cmf & 15) == 8 && cmf >> 4 <= 7 && (cmf << 8 | flg) % 31 == 0;
}

static sheaf_err_t begin(sheaf_inflate_t *self, const char **bytes, size_t *len)
{
    if (self->coding == SHEAF_CODING_GZIP)
        return open_stream(self, GZIP_BITS);
    self->first = **bytes;
    self->phase = PHASE_PEEK;
    ++*bytes;
    --*len;
    return SHEAF_OK;
}

static sheaf_err_t unwrap(sheaf_inflate_t *self, char second)
{
    const char *first = &self->first;
    size_t one = 1;

    open_stream(self, is_zlib(*first, second) ? ZLIB_BITS : RAW_BITS);
    return feed_member(self, &first, &one);
}

static sheaf_err_t go_on(sheaf_inflate_t *self, char next)
{
    if (self->coding == SHEAF_CODING_GZIP && next == GZIP_FIRST_BYTE) {
        inflateReset(&self->z);
        self->phase = PHASE_INSIDE;
        return SHEAF_OK;
    }
    if (self->coding == SHEAF_CODING_GZIP && next == '\0') {
        self->phase = PHASE_ZEROS;
        return SHEAF_OK;
    }
    return fail(self, SHEAF_ERR_MALFORMED, "something stands behind the end of the answer's content coding");
}

static sheaf_err_t skip_zeros(sheaf_inflate_t *self, const char **bytes, size_t *len)
{
    for (; *len > 0; ++*bytes, --*len)
        if (**bytes != '\0')
            return fail(self, SHEAF_ERR_MALFORMED, "something stands behind the end of the answer's content coding");
    return SHEAF_OK;
}

static sheaf_err_t step(sheaf_inflate_t *self, const char **bytes, size_t *len)
{
    switch (self->phase) {
    case PHASE_START:
        return begin(self, bytes, len);
    case PHASE_PEEK:
        return unwrap(self, **bytes);
    case PHASE_INSIDE:
        return feed_member(self, bytes, len);
    case PHASE_BEHIND:
        return go_on(self, **bytes);
    case PHASE_ZEROS:
        return skip_zeros(self, bytes, len);
    default:
        return self->err;
    }
}

sheaf_err_t sheaf_inflate_feed(sheaf_inflate_t *self, const char *bytes, size_t len)
{
    sheaf_err_t err = self->err;

    self->in_bytes += len;
    if (err == SHEAF_OK && self->in_bytes > self->limit_bytes && self->in_bytes - self->limit_bytes > OVERHEAD_BYTES)
        err = fail(self, SHEAF_ERR_ANSWER_TOO_LARGE, "the answer is too large even before it is decompressed");
    while (err == SHEAF_OK && len > 0)
        err = step(self, &bytes, &len);
    return err;
}

sheaf_err_t sheaf_inflate_end(sheaf_inflate_t *self)
{
    if (self->phase == PHASE_PEEK || self->phase == PHASE_INSIDE)
        return fail(self, SHEAF_ERR_MALFORMED, "the answer ends before its content coding does");
    return self->err;
}

bool sheaf_inflate_has_failed(const sheaf_inflate_t *self)
{
    return self->phase == PHASE_FAILED;
}

const char *sheaf_inflate_why(const sheaf_inflate_t *self)
{
    return self->why;
}

/* --- the fields --- */

static sheaf_coding_t coding_named(sheaf_str_t name)
{
    if (name.len == 0 || sheaf_str_ieq(name, SHEAF_STR("identity")))
        return SHEAF_CODING_IDENTITY;
    if (sheaf_str_ieq(name, SHEAF_STR("gzip")) || sheaf_str_ieq(name, SHEAF_STR("x-gzip")))
        return SHEAF_CODING_GZIP;
    return sheaf_str_ieq(name, SHEAF_STR("deflate")) ? SHEAF_CODING_DEFLATE : SHEAF_CODING_OTHER;
}

sheaf_coding_t sheaf_coding_upon(sheaf_coding_t first, sheaf_coding_t second)
{
    if (first == SHEAF_CODING_IDENTITY)
        return second;
    return second == SHEAF_CODING_IDENTITY ? first : SHEAF_CODING_OTHER;
}

sheaf_coding_t sheaf_coding_of(sheaf_str_t field)
{
    sheaf_coding_t coding = SHEAF_CODING_IDENTITY;

    while (field.base != NULL)
        coding = sheaf_coding_upon(coding, coding_named(sheaf_str_trim(sheaf_str_cut(&field, ','))));
    return coding;
}

/* The weight is 0, or is none: what cannot be read is not wanted. */
static bool is_refused(sheaf_str_t parameters)
{
    while (parameters.base != NULL) {
        sheaf_str_t parameter = sheaf_str_trim(sheaf_str_cut(&parameters, ';'));

        if (parameter.len < 2 || (parameter.base[0] != 'q' && parameter.base[0] != 'Q') || parameter.base[1] != '=')
            continue;
        for (size_t i = 2; i < parameter.len; i++)
            if (parameter.base[i] >= '1' && parameter.base[i] <= '9')
                return false;
        return true;
    }
    return false;
}

bool sheaf_coding_accepts_gzip(sheaf_str_t field)
{
    bool any = false;

    while (field.base != NULL) {
        sheaf_str_t parameters = sheaf_str_cut(&field, ',');
        sheaf_str_t name = sheaf_str_trim(sheaf_str_cut(&parameters, ';'));

        if (coding_named(name) == SHEAF_CODING_GZIP)
            return !is_refused(parameters);
        if (sheaf_str_eq(name, SHEAF_STR("*")))
            any = !is_refused(parameters);
    }
    return any;
}
