/* config/secret.h - memory that a core dump leaves out, for private keys.
 *
 * Keys come as files, go to the workers as a pack and end up as keys of OpenSSL. The bytes of files and packs live in
 * pages of their own (MADV_DONTDUMP, kept by fork). OpenSSL keeps the secret numbers of a key in its secure heap, which
 * is such memory too, locked against swapping as far as RLIMIT_MEMLOCK goes; and what it frees between
 * sheaf_secret_begin() and _end(), while it takes a key file apart, is wiped.
 * Out of reach: with the first handshake OpenSSL copies the primes of an RSA key into its ordinary memory, for speed. */
#ifndef SHEAF_CONFIG_SECRET_H
#define SHEAF_CONFIG_SECRET_H

#include <stdbool.h>
#include <stddef.h>

#define SHEAF_SECRET_HEAP_BYTES (32u << 20) /* address space; an RSA key of 2048 bits takes about 4 KiB of it */

/* Once, before anything of OpenSSL is used. False: OpenSSL would not have it, keys are in ordinary memory. */
bool sheaf_secret_init(void);

void sheaf_secret_begin(void);
void sheaf_secret_end(void);

/* Zeroed pages of their own; never NULL. Freed with the same length: wiped, and given back. */
void *sheaf_secret_alloc(size_t len);
void sheaf_secret_free(void *bytes, size_t len);

#endif
