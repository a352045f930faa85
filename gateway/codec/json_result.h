/* codec/json_result.h - one result as a JSON object (DESIGN section 3), for every format that is made of them.
 *
 * json_out.c sets results into one document, ndjson_out.c gives each a line of its own. */
#ifndef SHEAF_CODEC_JSON_RESULT_H
#define SHEAF_CODEC_JSON_RESULT_H

#include "gateway/batch/batch.h"
#include "gateway/codec/pen.h"

/* A guess at the bytes of the result without a large body, to open a pen with. */
size_t sheaf_json_result_expected(const sheaf_item_t *item);

/* {"id":...,"status":...,"headers":{...},"body":...}; "atomicityGroup" behind the id of an item that named one,
 * "elapsedMs" behind the status where the endpoint says `timing`, and "sameAs" in the place of headers and body for a
 * reported repetition. A valid JSON body is spliced as it came; with `is_one_line` the line breaks between its tokens
 * become spaces. */
void sheaf_json_result_put(sheaf_pen_t *pen, const sheaf_item_t *item, bool is_one_line);

/* "summary":{...}, without braces around it. */
void sheaf_json_result_summary(sheaf_pen_t *pen, const sheaf_batch_t *batch);

/* A body that is valid UTF-8 as a string. */
void sheaf_json_result_text(sheaf_pen_t *pen, const sheaf_buf_t *body);

#endif
