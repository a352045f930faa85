/* base/spare.h - small blocks that are given back and taken again by the thousand: bodies of answers, what an HTTP/2
 * session notes of its streams.
 *
 * malloc keeps seven of a size at hand; a batch gives back a hundred at a time, and each one beyond the seven is merged with
 * its neighbours only to be cut out again. Here they wait in lists by size, up to SHEAF_SPARE_BYTES of each. Large blocks go
 * to malloc, and with AddressSanitizer all of them, so that it sees every use after the end.
 * For the thread of the loop alone. Blocks are aligned as malloc aligns them, and are not zeroed. */
#ifndef SHEAF_BASE_SPARE_H
#define SHEAF_BASE_SPARE_H

#include <stddef.h>

#define SHEAF_SPARE_LARGEST 512
#define SHEAF_SPARE_BYTES   ((size_t)64 << 10)

/* Never NULL: aborts like sheaf_alloc() when memory is out. */
void *sheaf_spare_alloc(size_t size);
void *sheaf_spare_zalloc(size_t size);
void *sheaf_spare_realloc(void *block, size_t size); /* NULL is fine */
void sheaf_spare_free(void *block);                  /* NULL is fine */

/* Gives all that waits back to malloc. */
void sheaf_spare_trim(void);

#endif
