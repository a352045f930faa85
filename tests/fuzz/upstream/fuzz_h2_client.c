/* A backend's frames against the HTTP/2 client: what is told is the same whole and in pieces, and keeps its order.
 *
 *   options (1: some requests have a body; 2: a stream is cancelled inside an event; 4: the conn is freed inside one),
 *   piece size, then what the backend says
 *
 * Eight requests are on the conn, the last one HEAD. */
#include "tests/unit/upstream/h2_talk.h"

#define STREAMS 8

static uint8_t options;
static int events;

/* asked->is_over is set before the last one. */
static void on_told(asked_t *asked)
{
    talk_t *talk = asked->talk;

    if ((options & 2) != 0 && ++events % 3 == 0)
        sheaf_h2_cancel(talk->h2, asked->id);
    if ((options & 4) != 0 && events > 10) {
        sheaf_h2_free(talk->h2);
        talk->h2 = NULL;
    }
}

static void ask_all(talk_t *talk, asked_t *asked)
{
    static const char *const names[STREAMS] = {"a", "b", "c", "d", "e", "f", "g", "h"};
    static char body[70000];

    for (int i = 0; i < STREAMS; i++) {
        memset(&asked[i], 0, sizeof(asked[i]));
        asked[i].talk = talk;
        asked[i].name = names[i];
        asked[i].exchange.method = i == STREAMS - 1 ? SHEAF_STR("HEAD") : SHEAF_STR("GET");
        asked[i].exchange.target = SHEAF_STR("/");
        asked[i].exchange.has_body = (options & 1) != 0 && i % 2 == 0;
        asked[i].exchange.body = sheaf_str(body, sizeof(body));
        asked[i].on_told = (options & 6) != 0 ? on_told : NULL;
        asked[i].id = sheaf_h2_submit(talk->h2, &asked[i].exchange, &asked[i]);
    }
}

/* Returns what was told. `speaks`: its answers go out between the pieces. */
static char *read_in_pieces(const uint8_t *data, size_t size, size_t piece, bool speaks)
{
    talk_t talk;
    asked_t asked[STREAMS];
    char *text;

    talk_begin(&talk, STREAMS, 65535);
    events = 0;
    ask_all(&talk, asked);
    gateway_speaks(&talk);
    for (size_t at = 0; at < size && talk.h2 != NULL; at += piece) {
        gateway_reads(&talk, (const char *)data + at, size - at < piece ? size - at : piece);
        if (speaks && talk.h2 != NULL)
            gateway_speaks(&talk);
    }
    if (talk.h2 != NULL) {
        if (!talk.has_goaway)
            tell(&talk, sheaf_h2_state(talk.h2) == SHEAF_H2_OPEN ? "open" : sheaf_h2_detail(talk.h2));
        SHEAF_ASSERT(sheaf_h2_open_streams(talk.h2) <= STREAMS);
        gateway_speaks(&talk);
        sheaf_h2_goodbye(talk.h2);
        gateway_speaks(&talk);
    }
    told(&talk);
    text = talk.told.bytes;
    talk.told.bytes = NULL;
    talk_end(&talk);
    for (int i = 0; i < STREAMS; i++)
        ask_end(&asked[i]);
    return text;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *whole, *pieces;

    if (size < 2 || size > 65536)
        return 0;
    options = data[0] & 1;
    whole = read_in_pieces(data + 2, size - 2, SIZE_MAX - size, false);
    pieces = read_in_pieces(data + 2, size - 2, (size_t)data[1] + 1, false);
    SHEAF_ASSERT(strcmp(whole, pieces) == 0);
    free(whole);
    free(pieces);
    options = data[0];
    free(read_in_pieces(data + 2, size - 2, (size_t)data[1] + 1, true));
    return 0;
}
