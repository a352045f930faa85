#include "gateway/base/shared.h"

#include <sys/mman.h>
#include <unistd.h>

void *sheaf_shared_new(const char *name, size_t size)
{
    int fd = memfd_create(name, MFD_CLOEXEC);
    void *memory = MAP_FAILED;

    if (fd < 0)
        return NULL;
    if (ftruncate(fd, (off_t)size) == 0)
        memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    close(fd);
    return memory == MAP_FAILED ? NULL : memory;
}

void sheaf_shared_free(void *memory, size_t size)
{
    munmap(memory, size);
}
