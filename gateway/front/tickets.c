#include "gateway/front/tickets.h"

#include <openssl/core_names.h>
#include <openssl/err.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <unistd.h>

#include "gateway/base/error.h"

#define NAME_BYTES 16
#define KEY_BYTES  32
#define IV_BYTES   16

typedef struct {
    unsigned char name[NAME_BYTES]; /* in the clear in every ticket: tells the keys apart */
    unsigned char secrecy[KEY_BYTES];
    unsigned char integrity[KEY_BYTES];
} ticket_key_t;

struct sheaf_tickets {
    _Atomic uint32_t turn; /* odd while the writer is at it */
    uint32_t count;        /* keys there are */
    uint64_t made_ms;      /* the first */
    ticket_key_t keys[2];  /* the one that seals, and the one before it */
};

typedef struct { /* what one process leaves to the next, which may be another version */
    char layout[16];
    uint64_t count, made_ms;
    ticket_key_t keys[2];
} legacy_t;

static const char legacy_layout[16] = "sheaf tickets 1";

/* Keys have no place in a core dump. */
static void *map_secret(size_t size)
{
    void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

    if (memory == MAP_FAILED)
        return NULL;
    madvise(memory, size, MADV_DONTDUMP);
    return memory; /* fresh pages are zero */
}

sheaf_tickets_t *sheaf_tickets_new(void)
{
    return map_secret(sizeof(sheaf_tickets_t));
}

void sheaf_tickets_free(sheaf_tickets_t *tickets)
{
    if (tickets != NULL)
        munmap(tickets, sizeof(*tickets));
}

/* --- the writer --- */

uint64_t sheaf_tickets_period_ms(const sheaf_conf_t *conf)
{
    uint64_t longest = 0;

    for (uint32_t i = 0; i < conf->listen.count; i++) {
        const sheaf_tls_conf_t *tls = &conf->listen.items[i].tls;
        if (tls->mark.line > 0 && tls->session_timeout_ms > longest)
            longest = tls->session_timeout_ms;
    }
    return longest;
}

static bool make_key(ticket_key_t *key)
{
    return getrandom(key, sizeof(*key), 0) == (ssize_t)sizeof(*key);
}

/* `fresh` NULL: only forgets. */
static void publish(sheaf_tickets_t *tickets, const ticket_key_t *fresh, uint32_t count)
{
    atomic_fetch_add_explicit(&tickets->turn, 1, memory_order_acq_rel);
    if (fresh != NULL) {
        tickets->keys[1] = tickets->keys[0];
        tickets->keys[0] = *fresh;
    }
    if (count < 2)
        explicit_bzero(&tickets->keys[1], sizeof(tickets->keys[1]));
    tickets->count = count;
    atomic_fetch_add_explicit(&tickets->turn, 1, memory_order_release);
}

uint64_t sheaf_tickets_rotate(sheaf_tickets_t *tickets, uint64_t now_ms, uint64_t period_ms)
{
    uint64_t age_ms =
        now_ms > tickets->made_ms ? now_ms - tickets->made_ms : 0; /* clocks of two processes may differ */
    bool is_outlived =
        age_ms >= 2 * period_ms; /* nobody came by in time, or there was no use for tickets: both are old */
    ticket_key_t fresh;

    if (period_ms == 0)
        return UINT64_MAX;
    if (tickets->count > 0 && age_ms < period_ms)
        return tickets->made_ms + period_ms;
    if (!make_key(&fresh)) /* early at boot; the old key goes on until there is one */
        return now_ms + 1000;
    publish(tickets, &fresh, tickets->count > 0 && !is_outlived ? 2 : 1);
    explicit_bzero(&fresh, sizeof(fresh));
    tickets->made_ms = now_ms;
    return now_ms + period_ms;
}

/* --- from one process to the next --- */

static void write_legacy(const sheaf_tickets_t *tickets, legacy_t *legacy)
{
    memcpy(legacy->layout, legacy_layout, sizeof(legacy->layout));
    legacy->count = tickets->count;
    legacy->made_ms = tickets->made_ms;
    memcpy(legacy->keys, tickets->keys, sizeof(legacy->keys));
}

int sheaf_tickets_give(const sheaf_tickets_t *tickets)
{
    legacy_t *legacy = map_secret(sizeof(*legacy));
    int fd = memfd_create("sheaf-tickets", 0);
    bool is_written = false;

    if (legacy != NULL) {
        write_legacy(tickets, legacy);
        is_written = fd >= 0 && pwrite(fd, legacy, sizeof(*legacy), 0) == (ssize_t)sizeof(*legacy);
        munmap(legacy, sizeof(*legacy));
    }
    if (is_written)
        return fd;
    if (fd >= 0)
        close(fd);
    return -1;
}

static bool read_legacy(sheaf_tickets_t *tickets, const legacy_t *legacy, uint64_t now_ms)
{
    if (memcmp(legacy->layout, legacy_layout, sizeof(legacy->layout)) != 0 || legacy->count < 1 || legacy->count > 2 ||
        legacy->made_ms > now_ms)
        return false;
    memcpy(tickets->keys, legacy->keys, sizeof(tickets->keys));
    tickets->made_ms = legacy->made_ms;
    tickets->count = (uint32_t)legacy->count;
    return true;
}

bool sheaf_tickets_take(sheaf_tickets_t *tickets, int fd, uint64_t now_ms)
{
    legacy_t *legacy = map_secret(sizeof(*legacy));
    bool is_taken = false;

    if (legacy != NULL) {
        is_taken =
            pread(fd, legacy, sizeof(*legacy), 0) == (ssize_t)sizeof(*legacy) && read_legacy(tickets, legacy, now_ms);
        munmap(legacy, sizeof(*legacy));
    }
    close(fd);
    return is_taken;
}

/* --- the readers --- */

/* The key that seals (name NULL), or the one of that name. 0: there is none, 1: it seals, 2: it only opens. */
static int copy_key(sheaf_tickets_t *tickets, const unsigned char *name, ticket_key_t *ret_key)
{
    uint32_t before, after;
    int found;

    do {
        before = atomic_load_explicit(&tickets->turn, memory_order_acquire);
        found = 0;
        for (uint32_t i = 0; i < tickets->count && i < 2 && found == 0; i++) {
            memcpy(ret_key, &tickets->keys[i], sizeof(*ret_key));
            if (name == NULL || memcmp(ret_key->name, name, NAME_BYTES) == 0)
                found = (int)i + 1;
        }
        atomic_thread_fence(memory_order_acquire);
        after = atomic_load_explicit(&tickets->turn, memory_order_relaxed);
    } while (before != after || before % 2 != 0);
    return found;
}

static bool set_up(const ticket_key_t *key, const unsigned char *iv, EVP_CIPHER_CTX *cipher, EVP_MAC_CTX *mac,
                   int is_sealing)
{
    OSSL_PARAM params[] = {
        OSSL_PARAM_construct_octet_string(OSSL_MAC_PARAM_KEY, (void *)(uintptr_t)key->integrity, KEY_BYTES),
        OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, (char[]){"SHA256"}, 0),
        OSSL_PARAM_construct_end(),
    };

    return EVP_CipherInit_ex(cipher, EVP_aes_256_cbc(), NULL, key->secrecy, iv, is_sealing) == 1 &&
           EVP_MAC_CTX_set_params(mac, params) == 1;
}

static int tickets_slot(void)
{
    static int slot = -1;

    if (slot < 0)
        slot = SSL_CTX_get_ex_new_index(0, NULL, NULL, NULL, NULL);
    SHEAF_ASSERT(slot >= 0);
    return slot;
}

/* Sealing: 1 or, without a key, 0. Opening: 1; 2 if the client should have a new ticket; 0 if the key is unknown, which
 * only means a full handshake. */
static int on_ticket(SSL *ssl, unsigned char *name, unsigned char *iv, EVP_CIPHER_CTX *cipher, EVP_MAC_CTX *mac,
                     int is_sealing)
{
    sheaf_tickets_t *tickets = SSL_CTX_get_ex_data(SSL_get_SSL_CTX(ssl), tickets_slot());
    ticket_key_t key;
    int found = copy_key(tickets, is_sealing ? NULL : name, &key);

    if (found != 0 && is_sealing) {
        memcpy(name, key.name, NAME_BYTES);
        if (getrandom(iv, IV_BYTES, 0) != IV_BYTES)
            found = 0;
    }
    if (found != 0 && !set_up(&key, iv, cipher, mac, is_sealing))
        found = -1;
    explicit_bzero(&key, sizeof(key));
    if (found == 1 && !is_sealing && SSL_version(ssl) == TLS1_3_VERSION)
        found = 2; /* there a ticket is for one use (RFC 8446 C.4) */
    return found;
}

void sheaf_tickets_install(sheaf_tickets_t *tickets, SSL_CTX *context)
{
    SHEAF_ASSERT(SSL_CTX_set_ex_data(context, tickets_slot(), tickets) == 1);
    SSL_CTX_set_tlsext_ticket_key_evp_cb(context, on_ticket);
}
