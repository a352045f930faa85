/* An answer means the same whole and byte by byte. The first byte says whether the request was HEAD. */
#include "tests/wire/feed.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    bool was_head = size > 0 && data[0] == '!';
    const char *bytes = (const char *)data + was_head;
    size_t len = size - was_head;
    feed_t whole, dripped;

    feed_init(&whole, len, was_head);
    feed_init(&dripped, len, was_head);
    feed_more(&whole, bytes, len);
    for (size_t i = 0; i < len; i++)
        feed_more(&dripped, bytes + i, 1);
    feed_end(&whole);
    feed_end(&dripped);
    if (!feed_eq(&whole, &dripped))
        abort();
    feed_fini(&whole);
    feed_fini(&dripped);
    return 0;
}
