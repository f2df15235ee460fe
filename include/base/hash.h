/* hash - hashes of files, those that FTP servers can be asked for: computed here, and as values.
 *
 * A struct hash belongs to one thread at a time.  No lock, no I/O. */
#ifndef FTPFS_BASE_HASH_H
#define FTPFS_BASE_HASH_H

#include <stdbool.h>
#include <stddef.h>

enum hash_kind { HASH_NONE, HASH_CRC32, HASH_MD5, HASH_SHA1, HASH_SHA256, HASH_SHA512, HASH_KINDS };
enum { HASH_BYTES_MAX = 64 };

struct digest {
	enum hash_kind kind; /* HASH_NONE: there is none */
	unsigned char bytes[HASH_BYTES_MAX];
};

/* "sha256", and what FEAT and HASH call it: "SHA-256". */
const char *hash_name(enum hash_kind kind);
const char *hash_ftp_name(enum hash_kind kind);
size_t hash_bytes(enum hash_kind kind);

bool digest_same(const struct digest *a, const struct digest *b);
/* From n hexadecimal digits, of which there must be as many as the kind has.  0, -EPROTO. */
int digest_parse(struct digest *d, enum hash_kind kind, const char *hex, size_t n);
/* "sha256:e3b0..." */
enum { DIGEST_TEXT_SIZE = 2 * HASH_BYTES_MAX + 16 };
void digest_print(const struct digest *d, char out[DIGEST_TEXT_SIZE]);

struct hash; /* of bytes that come one after the other */

/* -ENOMEM; -EOPNOTSUPP: OpenSSL here does not do it (MD5 under FIPS). */
int hash_begin(enum hash_kind kind, struct hash **out);
void hash_add(struct hash *h, const void *bytes, size_t n);
/* Frees h; out->kind is HASH_NONE when something went wrong. */
void hash_end(struct hash *h, struct digest *out);
void hash_drop(struct hash *h); /* NULL: no-op */

#endif
