/* hash - hashes of files, computed here and as values. */
#include "base/hash.h"

#include <errno.h>
#include <openssl/evp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct hash {
	enum hash_kind kind;
	uint32_t crc;
	EVP_MD_CTX *md; /* NULL: a CRC */
	bool failed;
};

static const struct {
	const char *name, *ftp_name;
	size_t bytes;
} kinds[HASH_KINDS] = {
	[HASH_NONE] = {"none", "", 0},
	[HASH_CRC32] = {"crc32", "CRC32", 4},
	[HASH_MD5] = {"md5", "MD5", 16},
	[HASH_SHA1] = {"sha1", "SHA-1", 20},
	[HASH_SHA256] = {"sha256", "SHA-256", 32},
	[HASH_SHA512] = {"sha512", "SHA-512", 64},
};

const char *hash_name(enum hash_kind kind)
{
	return kinds[kind].name;
}

const char *hash_ftp_name(enum hash_kind kind)
{
	return kinds[kind].ftp_name;
}

size_t hash_bytes(enum hash_kind kind)
{
	return kinds[kind].bytes;
}

bool digest_same(const struct digest *a, const struct digest *b)
{
	return a->kind == b->kind && memcmp(a->bytes, b->bytes, hash_bytes(a->kind)) == 0;
}

int digest_parse(struct digest *d, enum hash_kind kind, const char *hex, size_t n)
{
	struct digest got = {.kind = kind};

	if (kind == HASH_NONE || n != 2 * hash_bytes(kind))
		return -EPROTO;
	for (size_t i = 0; i < n; i += 2) {
		int high = OPENSSL_hexchar2int((unsigned char)hex[i]);
		int low = OPENSSL_hexchar2int((unsigned char)hex[i + 1]);

		if (high < 0 || low < 0)
			return -EPROTO;
		got.bytes[i / 2] = (unsigned char)(high << 4 | low);
	}
	*d = got;
	return 0;
}

void digest_print(const struct digest *d, char out[DIGEST_TEXT_SIZE])
{
	int at = snprintf(out, DIGEST_TEXT_SIZE, "%s:", hash_name(d->kind));

	for (size_t i = 0; i < hash_bytes(d->kind); i++)
		at += snprintf(out + at, (size_t)(DIGEST_TEXT_SIZE - at), "%02x", d->bytes[i]);
}

static const EVP_MD *method(enum hash_kind kind)
{
	switch (kind) {
	case HASH_MD5:
		return EVP_md5();
	case HASH_SHA1:
		return EVP_sha1();
	case HASH_SHA256:
		return EVP_sha256();
	case HASH_SHA512:
		return EVP_sha512();
	default:
		return NULL;
	}
}

int hash_begin(enum hash_kind kind, struct hash **out)
{
	struct hash *h = calloc(1, sizeof *h);
	const EVP_MD *md = method(kind);

	if (!h)
		return -ENOMEM;
	h->kind = kind;
	h->crc = UINT32_MAX;
	if (md && !(h->md = EVP_MD_CTX_new())) {
		free(h);
		return -ENOMEM;
	}
	if (kind == HASH_NONE || (md && EVP_DigestInit_ex(h->md, md, NULL) != 1)) {
		hash_drop(h);
		return -EOPNOTSUPP;
	}
	*out = h;
	return 0;
}

/* Bit by bit: slow (100 MB/s and more, which is faster than most links), and for servers that offer
 * nothing better it saves a library. */
static uint32_t crc_add(uint32_t crc, const unsigned char *bytes, size_t n)
{
	while (n--) {
		crc ^= *bytes++;
		for (int bit = 0; bit < 8; bit++)
			crc = crc >> 1 ^ (UINT32_C(0xedb88320) & -(crc & 1));
	}
	return crc;
}

void hash_add(struct hash *h, const void *bytes, size_t n)
{
	if (!h->md)
		h->crc = crc_add(h->crc, bytes, n);
	else if (EVP_DigestUpdate(h->md, bytes, n) != 1)
		h->failed = true;
}

void hash_end(struct hash *h, struct digest *out)
{
	*out = (struct digest){.kind = h->kind};
	if (!h->md)
		for (int i = 0; i < 4; i++)
			out->bytes[i] = (unsigned char)(~h->crc >> (24 - 8 * i));
	else if (h->failed || EVP_DigestFinal_ex(h->md, out->bytes, NULL) != 1)
		out->kind = HASH_NONE;
	hash_drop(h);
}

void hash_drop(struct hash *h)
{
	if (!h)
		return;
	EVP_MD_CTX_free(h->md);
	free(h);
}
