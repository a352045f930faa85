/* fuzz/replay.c - runs a fuzz target over its corpus without libFuzzer, so that every find stays found. */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int replay_file(const char *path)
{
    FILE *file = fopen(path, "rb");
    size_t size = 0, room = 1 << 20;
    uint8_t *data = malloc(room);

    if (file == NULL || data == NULL) {
        free(data);
        if (file != NULL)
            fclose(file);
        return 1;
    }
    size = fread(data, 1, room, file);
    fclose(file);
    data = realloc(data, size > 0 ? size : 1); /* exact size: reading past it is seen by ASan */
    LLVMFuzzerTestOneInput(data, size);
    free(data);
    return 0;
}

int main(int argc, char **argv)
{
    DIR *dir = argc == 2 ? opendir(argv[1]) : NULL;
    struct dirent *entry;
    char path[4096];
    int count = 0;

    if (dir == NULL) {
        fprintf(stderr, "usage: %s CORPUS\n", argv[0]);
        return 2;
    }
    while ((entry = readdir(dir)) != NULL) {
        if (entry->d_name[0] == '.')
            continue;
        snprintf(path, sizeof(path), "%s/%s", argv[1], entry->d_name);
        count += replay_file(path) == 0;
    }
    closedir(dir);
    printf("%d inputs replayed\n", count);
    return count > 0 ? 0 : 1;
}
