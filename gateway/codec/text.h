/* codec/text.h - what a result body is, as far as an encoder must know. */
#ifndef SHEAF_CODEC_TEXT_H
#define SHEAF_CODEC_TEXT_H

#include "gateway/batch/batch.h"

/* False for HEAD, for statuses without a body (and 205), for empty bodies, and for successes under
 * Prefer: return=minimal: the result has no body then. */
bool sheaf_text_is_there(const sheaf_item_t *item);

/* The whole body is valid UTF-8, also where characters stand across chunks. */
bool sheaf_text_is_utf8(const sheaf_buf_t *body);

/* The whole body is valid UTF-8 and every character is one that XML 1.0 can carry (2.2 Char). */
bool sheaf_text_is_xml(const sheaf_buf_t *body);

#endif
