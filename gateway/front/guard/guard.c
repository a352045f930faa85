#include "gateway/front/guard/guard.h"

#include <dlfcn.h>

unsigned sheaf_guard_bits;

void *sheaf_guard_real(const char *name)
{
    void *real = dlsym(RTLD_NEXT, name);

    SHEAF_ASSERT(real != NULL);
    return real;
}

bool sheaf_objection_take(sheaf_objection_t *fault, sheaf_fail_t *fail)
{
    if (fault->err == SHEAF_OK)
        return false;
    sheaf_fail(fail, fault->err, "%s", fault->why);
    fault->err = SHEAF_OK;
    return true;
}
