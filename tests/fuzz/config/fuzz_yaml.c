/* The whole loader over any bytes: it loads or it reports, never both in silence, and never falls over. */
#include <stdint.h>
#include <stdlib.h>

#include "config/snapshot.h"
#include "gateway/base/error.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *report;
    sheaf_files_t none = {.folder = NULL}; /* nothing is read from disk */
    sheaf_snapshot_t *snapshot =
        sheaf_snapshot_load_packed("fuzz.yaml", sheaf_str((const char *)data, size), &none, &report);

    if (snapshot == NULL)
        SHEAF_ASSERT(strstr(report, ": error: ") != NULL);
    else
        SHEAF_ASSERT(strstr(report, ": error: ") == NULL && snapshot->conf.listen.count > 0);
    if (snapshot != NULL)
        sheaf_snapshot_has_endpoint(snapshot, SHEAF_STR("/batch"));
    sheaf_snapshot_drop(snapshot);
    free(report);
    return 0;
}
