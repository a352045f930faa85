/* A PROXY header is judged alike whole and in pieces, never beyond its bytes, and what follows it does not matter. */
#include <stdlib.h>

#include "gateway/front/proxy_protocol.h"

static void insist(bool claim)
{
    if (!claim)
        abort();
}

static sheaf_proxy_verdict_t parse_cut(const uint8_t *data, size_t len, sheaf_proxy_header_t *ret_header)
{
    char *exact = malloc(len > 0 ? len : 1);
    sheaf_proxy_verdict_t verdict;

    memcpy(exact, data, len);
    verdict = sheaf_proxy_header_parse(sheaf_str(exact, len), ret_header);
    free(exact);
    return verdict;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    sheaf_proxy_header_t whole = {.len = 0}, part;
    sheaf_proxy_verdict_t verdict = parse_cut(data, size, &whole), cut;

    for (size_t len = 0; len < size && len < 600; len++) {
        cut = parse_cut(data, len, &part);
        if (cut == SHEAF_PROXY_BAD) /* no more bytes could have helped */
            insist(verdict == SHEAF_PROXY_BAD);
        else if (cut == SHEAF_PROXY_COMPLETE)
            insist(verdict == SHEAF_PROXY_COMPLETE && part.len == whole.len && whole.len <= len);
        else
            insist(verdict != SHEAF_PROXY_COMPLETE || whole.len > len);
    }
    if (verdict == SHEAF_PROXY_COMPLETE)
        insist(whole.len <= size && whole.len <= SHEAF_PROXY_HEADER_MOST &&
               whole.names_client == (whole.client_len > 0));
    if (verdict == SHEAF_PROXY_PARTIAL)
        insist(size < SHEAF_PROXY_HEADER_MOST);
    return 0;
}
