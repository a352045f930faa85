/* front/patience.h - how many requests a connection may still abandon (CVE-2023-44487, CVE-2025-8671).
 *
 * A bucket of `burst` tokens: an abandoned request takes one, each second gives ten back, each answered request one. */
#ifndef SHEAF_FRONT_PATIENCE_H
#define SHEAF_FRONT_PATIENCE_H

#include "gateway/base/str.h"

typedef struct sheaf_patience {
    double left;
    uint64_t counted_ms; /* when the seconds were last given back */
} sheaf_patience_t;

void sheaf_patience_init(sheaf_patience_t *patience, uint64_t burst, uint64_t now_ms);

/* A request ended. False when the connection has used up its patience. */
bool sheaf_patience_spend(sheaf_patience_t *patience, uint64_t burst, uint64_t now_ms, bool is_abandoned);

#endif
