/* parse/reply - FTP replies (RFC 959 section 4.2): bytes in, values out.
 *
 * Pure: no I/O, no lock, no clock, no global.  Every function is a fuzz target. */
#ifndef FTPFS_PARSE_REPLY_H
#define FTPFS_PARSE_REPLY_H

#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/hash.h"

/* One whole reply.  `text` is everything after the code of each line, lines separated by '\n', the
 * code and its separator removed from those lines that carry it. */
struct reply {
	int code; /* 100..599 */
	struct buf text;
};

enum {
	REPLY_MAX = 1 << 20
}; /* bytes of one reply; more is -EPROTO: the peer is not an FTP server */

void reply_init(struct reply *r);
void reply_free(struct reply *r);

/* Try to take one reply off the front of bytes[0..n).
 * Returns the number of bytes used and fills *r; 0: not complete yet; -EPROTO: this is not a reply
 * (no code where one must be, or longer than REPLY_MAX).  Accepts lines ended by LF alone, a final
 * line "NNN" without a space, and body lines that begin with digits. */
long reply_parse(struct reply *r, const char *bytes, size_t n);

/* First line of the text, NUL-terminated, in a static-free way: copies at most size-1 bytes. */
void reply_first_line(const struct reply *r, char *out, size_t size);

/* Values inside the text of a reply.  0 or -EPROTO when it is not there. */
int reply_size(const struct reply *r, int64_t *bytes); /* 213 to SIZE, RFC 3659 section 4 */
int reply_time(const struct reply *r, int64_t *ns);    /* 213 to MDTM, RFC 3659 section 3 */
int reply_epsv(const struct reply *r, uint16_t *port); /* 229, RFC 2428 section 3; any delimiter */
int reply_pasv(const struct reply *r,
	       uint16_t *port); /* 227: six numbers anywhere; address ignored */
/* "(N bytes)" in the 150 to RETR: of the whole file on most servers, of what is to come on some. */
int reply_opening(const struct reply *r, int64_t *bytes);
/* The hash of a whole file: 213 to HASH (draft-bryan-ftpext-hash), which must be of this kind, 250
 * to XMD5 and its kin, 251 to MD5 (draft-twine-ftpmd5). */
int reply_hash(const struct reply *r, enum hash_kind kind, struct digest *out);

#endif
