#include "config/sni.h"

#include <openssl/err.h>
#include <stdlib.h>

#include "gateway/base/pool.h"

#define HOST_NAME_MAX_BYTES 255
#define PICK_MOST           8 /* OpenSSL knows fewer kinds of keys */

typedef struct {
    sheaf_str_t name; /* lower-case */
    uint32_t index;
} named_t;

typedef struct {
    sheaf_pool_t *pool; /* this and all in it */
    sheaf_certificate_t *certificates;
    uint32_t count;
    named_t *names; /* sorted by name, then index */
    uint32_t name_count, name_room;
} shelf_t;

static sheaf_str_t lower(char *buffer, sheaf_str_t name)
{
    for (size_t i = 0; i < name.len; i++)
        buffer[i] = sheaf_lower(name.base[i]);
    return sheaf_str(buffer, name.len);
}

static int compare_names(sheaf_str_t a, sheaf_str_t b)
{
    int order = memcmp(a.base, b.base, a.len < b.len ? a.len : b.len);

    return order != 0 ? order : (a.len > b.len) - (a.len < b.len);
}

static int by_name(const void *a, const void *b)
{
    const named_t *x = a, *y = b;
    int order = compare_names(x->name, y->name);

    return order != 0 ? order : (x->index > y->index) - (x->index < y->index);
}

/* --- the shelf --- */

static void on_name(void *data, sheaf_str_t name)
{
    shelf_t *shelf = data;
    named_t *names = shelf->names;

    if (name.len == 0 || name.len > HOST_NAME_MAX_BYTES)
        return;
    if (shelf->name_count == shelf->name_room) {
        shelf->name_room = shelf->name_room == 0 ? 8 : shelf->name_room * 2;
        names = sheaf_pool_alloc(shelf->pool, shelf->name_room * sizeof(*names));
        if (shelf->name_count > 0)
            memcpy(names, shelf->names, shelf->name_count * sizeof(*names));
        shelf->names = names;
    }
    name = lower(sheaf_pool_alloc(shelf->pool, name.len), name);
    names[shelf->name_count++] = (named_t){name, shelf->count};
}

static shelf_t *shelf_new(const sheaf_certificate_t *certificates, uint32_t count)
{
    sheaf_pool_t *pool = sheaf_pool_new();
    shelf_t *shelf = sheaf_pool_zalloc(pool, sizeof(*shelf));

    shelf->pool = pool;
    shelf->certificates = sheaf_pool_alloc(pool, count * sizeof(*certificates));
    memcpy(shelf->certificates, certificates, count * sizeof(*certificates));
    for (; shelf->count < count; shelf->count++)
        sheaf_certificate_names(&certificates[shelf->count], on_name, shelf);
    if (shelf->name_count > 0)
        qsort(shelf->names, shelf->name_count, sizeof(*shelf->names), by_name);
    return shelf;
}

static void on_context_freed(void *parent, void *ptr, CRYPTO_EX_DATA *data, int index, long argl, void *argp)
{
    shelf_t *shelf = ptr;

    (void)parent, (void)data, (void)index, (void)argl, (void)argp;
    for (uint32_t i = 0; shelf != NULL && i < shelf->count; i++)
        sheaf_certificate_fini(&shelf->certificates[i]);
    if (shelf != NULL)
        sheaf_pool_free(shelf->pool);
}

/* A connection outlives the configuration it was accepted under, so its certificates live as long as its context. */
static int shelf_slot(void)
{
    static int slot = -1;

    if (slot < 0)
        slot = SSL_CTX_get_ex_new_index(0, NULL, NULL, NULL, on_context_freed);
    SHEAF_ASSERT(slot >= 0);
    return slot;
}

/* --- picking --- */

static uint32_t find(const shelf_t *shelf, sheaf_str_t name, uint32_t *ret_indices, uint32_t room)
{
    uint32_t low = 0, high = shelf->name_count, count = 0;

    while (low < high) {
        uint32_t middle = low + (high - low) / 2;

        if (compare_names(shelf->names[middle].name, name) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    for (; count < room && low < shelf->name_count && sheaf_str_eq(shelf->names[low].name, name); low++)
        ret_indices[count++] = shelf->names[low].index;
    return count;
}

uint32_t sheaf_sni_pick(const SSL_CTX *context, sheaf_str_t name, uint32_t *ret_indices, uint32_t room)
{
    const shelf_t *shelf = SSL_CTX_get_ex_data(context, shelf_slot());
    char buffer[HOST_NAME_MAX_BYTES + 1];
    const char *dot;
    uint32_t count;

    if (name.len > 0 && name.base[name.len - 1] == '.')
        name.len--;
    if (name.len == 0 || name.len > HOST_NAME_MAX_BYTES)
        return 0;
    name = lower(buffer, name);
    count = find(shelf, name, ret_indices, room);
    dot = memchr(name.base, '.', name.len);
    if (count > 0 || dot == NULL || dot == name.base)
        return count;
    buffer[dot - name.base - 1] = '*';
    name.len -= (size_t)(dot - name.base) - 1;
    name.base = dot - 1;
    return find(shelf, name, ret_indices, room);
}

static uint32_t pick(SSL *ssl, uint32_t *ret_indices)
{
    const char *name = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);

    return name == NULL ? 0 : sheaf_sni_pick(SSL_get_SSL_CTX(ssl), sheaf_str_of(name), ret_indices, PICK_MOST);
}

/* Answers "I know that name", for clients that want to hear it. An unknown one is no reason to refuse. */
static int on_servername(SSL *ssl, int *alert, void *data)
{
    uint32_t indices[PICK_MOST];

    (void)alert, (void)data;
    return pick(ssl, indices) > 0 ? SSL_TLSEXT_ERR_OK : SSL_TLSEXT_ERR_NOACK;
}

static int on_certificate(SSL *ssl, void *data)
{
    const shelf_t *shelf = SSL_CTX_get_ex_data(SSL_get_SSL_CTX(ssl), shelf_slot());
    uint32_t indices[PICK_MOST], count = pick(ssl, indices);

    (void)data;
    if (count == 0)
        return 1; /* the context's own: the first */
    SSL_certs_clear(ssl);
    while (count-- > 0) { /* backwards: of two that share a place the first is put there last */
        const sheaf_certificate_t *certificate = &shelf->certificates[indices[count]];

        if (SSL_use_cert_and_key(ssl, certificate->leaf, certificate->key, certificate->chain, 1) != 1)
            return 0;
    }
    return 1;
}

static bool can_use(SSL_CTX *context, const sheaf_certificate_t *certificate)
{
    ERR_clear_error();
    return SSL_CTX_use_cert_and_key(context, certificate->leaf, certificate->key, certificate->chain, 1) == 1;
}

sheaf_err_t sheaf_sni_install(SSL_CTX *context, const sheaf_certificate_t *certificates, uint32_t count,
                              uint32_t *ret_bad, sheaf_fail_t *fail)
{
    shelf_t *shelf = shelf_new(certificates, count);
    SSL_CTX *trial = SSL_CTX_new(TLS_server_method()); /* the context itself must hold the first and no other */
    uint32_t good = 0;

    SHEAF_ASSERT(trial != NULL && SSL_CTX_set_ex_data(context, shelf_slot(), shelf) == 1);
    while (good < count && can_use(good == 0 ? context : trial, &certificates[good]))
        good++;
    SSL_CTX_free(trial);
    if (good < count) {
        *ret_bad = good;
        sheaf_fail(fail, SHEAF_ERR_CONFIG, "cannot be used: %s", ERR_reason_error_string(ERR_peek_last_error()));
        ERR_clear_error();
        return SHEAF_ERR_CONFIG;
    }
    SSL_CTX_set_tlsext_servername_callback(context, on_servername);
    SSL_CTX_set_cert_cb(context, on_certificate, NULL);
    return SHEAF_OK;
}
