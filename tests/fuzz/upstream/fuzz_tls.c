/* A backend's record stream: what OpenSSL's server says, with bytes changed, dropped, put in between and cut anyhow.
 *
 *   flags, piece size, then steps: {what, where, how many} or, behind an odd `what`, bytes of the input as they are
 *
 * Whatever comes: nothing that the server did not say is read as plain text, what waits is bounded, and after a failure
 * nothing more is taken. */
#include <stdlib.h>

#include "tests/unit/upstream/tls_server.h"

#define ROOM ((size_t)1 << 18)

static pki_t pki;
static SSL_CTX *context;
static sheaf_snapshot_t *snapshot;
static sheaf_tls_peer_t *peer;

static void tear_down(void)
{
    sheaf_tls_peer_free(peer);
    sheaf_snapshot_drop(snapshot);
    SSL_CTX_free(context);
    pki_free(&pki);
}

static void set_up(void)
{
    static const uint16_t port = 1;

    if (context != NULL)
        return;
    pki = pki_new((wish_t){.names = "DNS:backend.test"});
    context = server_context(&pki, 0, false);
    snapshot = secure_snapshot(&pki, &port, 1, "{ca: ca}");
    atexit(tear_down);
    peer = sheaf_tls_peer_new(snapshot->upstream_tls[0], SHEAF_STR("backend.test"));
}

typedef struct story {
    sheaf_tls_t *tls;
    tls_server_t server;
    size_t piece, said; /* bytes 'x' that the server said */
    size_t got;         /* and those that were read */
} story_t;

static void gateway_reads(story_t *story, const char *bytes, size_t len)
{
    char *copy = malloc(len), *plain = malloc(len + SHEAF_TLS_RECORD_SIZE);
    sheaf_tls_state_t before = sheaf_tls_state(story->tls);
    size_t plain_len;

    memcpy(copy, bytes, len); /* exact, so that a read beyond it is seen */
    sheaf_tls_read(story->tls, copy, len, plain, &plain_len);
    SHEAF_ASSERT(before < SHEAF_TLS_ENDED || plain_len == 0);
    SHEAF_ASSERT(before < SHEAF_TLS_ENDED || sheaf_tls_state(story->tls) == before);
    for (size_t i = 0; i < plain_len; i++)
        SHEAF_ASSERT(plain[i] == 'x');
    story->got += plain_len;
    SHEAF_ASSERT(story->got <= story->said);
    SHEAF_ASSERT(sheaf_tls_output(story->tls).len <= SHEAF_TLS_MAX_OUTPUT);
    free(copy);
    free(plain);
}

static void in_pieces(story_t *story, const char *bytes, size_t len)
{
    for (size_t at = 0; at < len; at += story->piece)
        gateway_reads(story, bytes + at, len - at < story->piece ? len - at : story->piece);
}

/* Hands on what the server has to say, one byte of it changed or its end dropped. */
static void hand_on(story_t *story, uint8_t what, uint8_t where, uint8_t how)
{
    sheaf_str_t back = tls_server_output(&story->server);
    char *bytes = malloc(back.len + 1);
    size_t at = back.len * where / 256, len = back.len;

    memcpy(bytes, back.base, back.len);
    tls_server_drained(&story->server);
    if ((what & 0x10) != 0 && at < len)
        bytes[at] = (char)(bytes[at] ^ how);
    if ((what & 0x20) != 0)
        len = at;
    in_pieces(story, bytes, len);
    free(bytes);
}

static void server_acts(story_t *story, uint8_t what, uint8_t how)
{
    static char text[20000];
    sheaf_str_t out = sheaf_tls_output(story->tls);
    char heard[4096];
    int len = how * 64 + 1;

    memset(text, 'x', sizeof(text));
    tls_server_read(&story->server, out.base, out.len, heard, sizeof(heard));
    sheaf_tls_drained(story->tls);
    if ((what & 2) != 0 && SSL_is_init_finished(story->server.ssl) && SSL_write(story->server.ssl, text, len) == len)
        story->said += (size_t)len;
    if ((what & 4) != 0 && SSL_is_init_finished(story->server.ssl))
        SSL_key_update(story->server.ssl, SSL_KEY_UPDATE_REQUESTED);
    if ((what & 8) != 0)
        SSL_shutdown(story->server.ssl);
    SSL_do_handshake(story->server.ssl);
    ERR_clear_error();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    story_t story = {.piece = 1};
    size_t at = 2;

    if (size < 2 || size > ROOM)
        return 0;
    set_up();
    story.piece = (size_t)data[1] * 16 + 1;
    story.tls = sheaf_tls_new(peer, 0);
    story.server = tls_server_new(context);
    if ((data[0] & 1) != 0)
        SSL_set_max_proto_version(story.server.ssl, TLS1_2_VERSION);
    for (int step = 0; step < 64 && at < size; step++) {
        uint8_t what = data[at], where = at + 1 < size ? data[at + 1] : 0, how = at + 2 < size ? data[at + 2] : 0;

        at += 3;
        if ((what & 1) != 0 && at < size) {
            size_t len = size - at < where ? size - at : where;

            in_pieces(&story, (const char *)data + at, len);
            at += len;
            continue;
        }
        server_acts(&story, what, how);
        hand_on(&story, what, where, how);
    }
    sheaf_tls_seal(story.tls, "bye", 3);
    sheaf_tls_goodbye(story.tls);
    sheaf_tls_free(story.tls);
    tls_server_free(&story.server);
    ERR_clear_error();
    return 0;
}
