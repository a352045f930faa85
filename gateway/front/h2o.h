/* front/h2o.h - libh2o's headers, which do not compile under our warnings, and what 2.3 calls differently (seen with the
 * headers of 2.3.0-beta2; Debian has no such library). Included only in this folder. */
#ifndef SHEAF_FRONT_H2O_H
#define SHEAF_FRONT_H2O_H

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wconversion"
#pragma GCC diagnostic ignored "-Wsign-conversion"
#pragma GCC diagnostic ignored "-Wshadow"
#pragma GCC diagnostic ignored "-Wunused-parameter"
#pragma GCC diagnostic ignored "-Wsign-compare"
#pragma GCC diagnostic ignored "-Wmissing-field-initializers"
#include <stddef.h>

#include <h2o.h>
#include <h2o/http1.h>
#include <h2o/http2.h>

/* What 2.3 calls differently. */
#if H2O_LIBRARY_VERSION_MAJOR == 0 && H2O_LIBRARY_VERSION_MINOR <= 13
static inline void *sheaf_h2o_alloc(h2o_mem_pool_t *pool, size_t size)
{
    return h2o_mem_alloc_pool(pool, size);
}

static inline h2o_ostream_t *sheaf_h2o_add_ostream(h2o_req_t *req, size_t size, h2o_ostream_t **slot)
{
    return h2o_add_ostream(req, size, slot);
}

/* The stream above counts bytes_sent by itself. */
static inline void sheaf_h2o_count_ourselves(h2o_req_t *req)
{
    req->bytes_counted_by_ostream = 1;
}

static inline struct timeval sheaf_h2o_now(h2o_context_t *context)
{
    return *h2o_get_timestamp(context, NULL, NULL);
}

static inline void sheaf_h2o_handshake(h2o_socket_t *sock, SSL_CTX *tls, h2o_socket_cb on_done)
{
    h2o_socket_ssl_handshake(sock, tls, NULL, on_done);
}
#else
static inline void *sheaf_h2o_alloc(h2o_mem_pool_t *pool, size_t size)
{
    return h2o_mem_alloc_pool(pool, char, size);
}

static inline h2o_ostream_t *sheaf_h2o_add_ostream(h2o_req_t *req, size_t size, h2o_ostream_t **slot)
{
    return h2o_add_ostream(req, _Alignof(max_align_t), size, slot);
}

static inline void sheaf_h2o_count_ourselves(h2o_req_t *req)
{
    (void)req;
}

static inline struct timeval sheaf_h2o_now(h2o_context_t *context)
{
    return h2o_get_timestamp(context, NULL).at;
}

static inline void sheaf_h2o_handshake(h2o_socket_t *sock, SSL_CTX *tls, h2o_socket_cb on_done)
{
    h2o_socket_ssl_handshake(sock, tls, NULL, (h2o_iovec_t){NULL, 0}, on_done);
}
#endif

/* The values of all fields called `name`, joined (RFC 9110 5.3): in the request's pool, in one piece, however many there
 * are; the value itself where there is one; no base where there is none. `between` has two bytes. */
h2o_iovec_t sheaf_h2o_join(h2o_req_t *req, const h2o_token_t *name, const char *between);
#pragma GCC diagnostic pop

#endif
