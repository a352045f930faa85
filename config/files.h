/* config/files.h - the files that a configuration names, with their content.
 *
 * Whoever reads a configuration reads them too: a worker may have given up the right to, and all workers must see the
 * same bytes. Text and files travel from the supervisor to its workers as one pack:
 *
 *   magic, then the text, then each file:  path length, content length (both 64 bits, little endian), path, content
 *
 * Contents may be private keys: they are in memory that core dumps leave out, and wiped before it is given back
 * (secret.h). */
#ifndef SHEAF_CONFIG_FILES_H
#define SHEAF_CONFIG_FILES_H

#include "config/keys.h"
#include "gateway/base/error.h"

#define SHEAF_FILE_MAX_BYTES  (4u << 20)
#define SHEAF_FILES_MAX_BYTES (128u << 20) /* all files of a configuration */

typedef struct sheaf_files {
    const char *folder; /* what relative paths are relative to, borrowed; NULL: nothing is read from disk any more */
    sheaf_file_t *items;
    uint32_t count, room;
    size_t bytes; /* of all contents */
} sheaf_files_t;

void sheaf_files_init(sheaf_files_t *files, const char *folder);
void sheaf_files_fini(sheaf_files_t *files);

/* The file of that path (as written in the configuration), read from disk the first time. The result is good until
 * fini. A pipe, a device or a folder is no file; an empty one is refused too, as is one over SHEAF_FILE_MAX_BYTES, or over
 * SHEAF_FILES_MAX_BYTES with the others. */
sheaf_err_t sheaf_files_read(sheaf_files_t *files, sheaf_str_t path, sheaf_file_t *ret_file, sheaf_fail_t *fail);

/* `text` and all files as one block, to be freed with sheaf_files_pack_free(). */
char *sheaf_files_pack(const sheaf_files_t *files, sheaf_str_t text, size_t *ret_len);

/* The pack that `fd`, a memfd or a file, holds from its beginning on; freed in the same way. NULL: it cannot be read. */
char *sheaf_files_pack_read(int fd, size_t *ret_len);

/* Back again; files are copied (files->folder is NULL), `*ret_text` points into `pack`. False: it is no pack. */
bool sheaf_files_unpack(sheaf_str_t pack, sheaf_str_t *ret_text, sheaf_files_t *ret_files);

/* Frees a pack, wiped. */
void sheaf_files_pack_free(char *pack, size_t len);

#endif
