/* batch/stretch.h - how much of a batch is done at a stretch.
 *
 * What flies is bounded by `parallel`; an item that hooks answer never flies, and a batch may have thousands of them. Nor does
 * one whose references find nothing, however much they looked through. After so many, or so much, the pump rests until the next
 * turn of the loop, so that other clients are served in between. */
#ifndef SHEAF_BATCH_STRETCH_H
#define SHEAF_BATCH_STRETCH_H

#include "gateway/batch/batch.h"

#define SHEAF_STRETCH_ITEMS 64
#define SHEAF_STRETCH_STEPS 200000 /* about a millisecond */
#define SHEAF_STRETCH_COPY  32     /* bytes that are copied in the time of a step */

/* Hooks have answered one more. */
void sheaf_stretch_count(sheaf_batch_t *batch);
/* References have looked through so much more: steps of sheaf_pointer_walk. */
void sheaf_stretch_walked(sheaf_batch_t *batch, uint64_t steps);
/* For them so many bytes were copied. Not counted in all: it is bounded by what answers there are. */
void sheaf_stretch_copied(sheaf_batch_t *batch, uint64_t bytes);
/* Is it enough for this turn? Then the pump is called again in the next one. */
bool sheaf_stretch_is_over(sheaf_batch_t *batch);
/* The batch ends. */
void sheaf_stretch_fini(sheaf_batch_t *batch);

#endif
