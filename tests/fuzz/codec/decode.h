/* What a decoder owes for any bytes: a batch, or a refusal with an err, a sentence and a place inside the document. */
#ifndef SHEAF_TESTS_FUZZ_DECODE_H
#define SHEAF_TESTS_FUZZ_DECODE_H

#include "tests/unit/codec/kit.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* `names_pointer`: the format has JSON pointers. */
static inline void fuzz_decode(kit_t *kit, const sheaf_decoder_t *decoder, sheaf_str_t doc, bool names_pointer)
{
    sheaf_batch_t *batch = kit_batch(kit);
    sheaf_fail_t fail;

    if (decoder->decode(batch, doc, &fail) != SHEAF_OK)
        if (fail.err == SHEAF_OK || fail.detail[0] == '\0' || (names_pointer && !fail.has_pointer) || fail.line == 0 ||
            fail.column == 0)
            abort();
    sheaf_batch_free(batch);
}

#endif
