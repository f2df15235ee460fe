/* buf - a growing byte buffer that cannot exist without a maximum.
 *
 * The content is always followed by a NUL that is not counted, so that text can be read in place.
 * Errors stick: after -ENOMEM or -EOVERFLOW (the maximum would be passed) further additions return
 * the same error and change nothing, so a builder may check once, at the end, with buf_error().
 * Owned by one thread at a time. */
#ifndef FTPFS_BASE_BUF_H
#define FTPFS_BASE_BUF_H

#include <stdarg.h>
#include <stddef.h>

struct buf {
	char *data; /* NULL until the first addition; then NUL-terminated */
	size_t len;
	size_t cap;
	size_t max;
	int error;
};

void buf_init(struct buf *b, size_t max);
void buf_free(struct buf *b);  /* may be used again after buf_init */
void buf_reset(struct buf *b); /* empty, error cleared, memory kept */
int buf_error(const struct buf *b);
int buf_add(struct buf *b, const void *bytes, size_t n);
int buf_adds(struct buf *b, const char *text);
int buf_addf(struct buf *b, const char *format, ...) __attribute__((format(printf, 2, 3)));
int buf_vaddf(struct buf *b, const char *format, va_list args)
	__attribute__((format(printf, 2, 0)));
/* Make room for n more bytes and return where to write them; NULL on error.  buf_added() counts
 * what was written. */
char *buf_room(struct buf *b, size_t n);
void buf_added(struct buf *b, size_t n);
void buf_drop(struct buf *b, size_t n);	   /* remove n bytes from the front */
const char *buf_text(const struct buf *b); /* "" when empty; never NULL */

#endif
