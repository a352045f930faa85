#include "gateway/front/guard/guard.h"

#include <dlfcn.h>

#include "gateway/base/error.h"

void *sheaf_guard_real(const char *name)
{
    void *real = dlsym(RTLD_NEXT, name);

    SHEAF_ASSERT(real != NULL);
    return real;
}
