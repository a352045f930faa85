/* codec/word.h - values that every format of a batch writes as the same words. */
#ifndef SHEAF_CODEC_WORD_H
#define SHEAF_CODEC_WORD_H

#include "gateway/base/str.h"

/* "500ms", "2s", "1m"; false for anything else. What does not fit into 64 bits is no duration; 0 is one. */
bool sheaf_word_duration(sheaf_str_t text, uint64_t *ret_ms);

/* "2xx" is a class (2), "409" one status; false for anything else. See sheaf_edge_t. */
bool sheaf_word_status(sheaf_str_t text, uint16_t *ret_status);

#endif
