/* buf - a growing byte buffer that cannot exist without a maximum. */
#include "base/buf.h"

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { BUF_FIRST = 64 };

void buf_init(struct buf *b, size_t max)
{
	memset(b, 0, sizeof(*b));
	/* Keeps len + n + 1 from wrapping, whatever the caller asked for. */
	b->max = max < PTRDIFF_MAX ? max : PTRDIFF_MAX - 1;
}

void buf_free(struct buf *b)
{
	free(b->data);
	memset(b, 0, sizeof(*b));
}

void buf_reset(struct buf *b)
{
	b->len = 0;
	b->error = 0;
	if (b->data)
		b->data[0] = '\0';
}

int buf_error(const struct buf *b)
{
	return b->error;
}

static int grow(struct buf *b, size_t need)
{
	size_t limit = b->max + 1; /* the NUL is not part of the maximum */
	size_t cap = b->cap > limit / 2 ? limit : b->cap * 2;
	char *data;

	if (cap < BUF_FIRST)
		cap = BUF_FIRST < limit ? BUF_FIRST : limit;
	if (cap < need)
		cap = need;
	data = realloc(b->data, cap);
	if (!data)
		return -ENOMEM;
	b->data = data;
	b->cap = cap;
	return 0;
}

char *buf_room(struct buf *b, size_t n)
{
	if (b->error)
		return NULL;
	if (n > b->max - b->len)
		b->error = -EOVERFLOW;
	else if (b->len + n + 1 > b->cap)
		b->error = grow(b, b->len + n + 1);
	if (b->error)
		return NULL;
	b->data[b->len] = '\0';
	return b->data + b->len;
}

void buf_added(struct buf *b, size_t n)
{
	b->len += n;
	if (b->data)
		b->data[b->len] = '\0';
}

int buf_add(struct buf *b, const void *bytes, size_t n)
{
	char *to = buf_room(b, n);

	if (!to)
		return b->error;
	if (n)
		memcpy(to, bytes, n);
	buf_added(b, n);
	return 0;
}

int buf_adds(struct buf *b, const char *text)
{
	return buf_add(b, text, strlen(text));
}

int buf_vaddf(struct buf *b, const char *format, va_list args)
{
	va_list again;
	char *to;
	int n;

	if (b->error)
		return b->error;
	va_copy(again, args);
	n = vsnprintf(NULL, 0, format, args);
	if (n < 0)
		b->error = -EOVERFLOW;
	to = n < 0 ? NULL : buf_room(b, (size_t)n);
	if (to) {
		vsnprintf(to, (size_t)n + 1, format, again);
		buf_added(b, (size_t)n);
	}
	va_end(again);
	return b->error;
}

int buf_addf(struct buf *b, const char *format, ...)
{
	va_list args;
	int error;

	va_start(args, format);
	error = buf_vaddf(b, format, args);
	va_end(args);
	return error;
}

void buf_drop(struct buf *b, size_t n)
{
	if (!b->data)
		return;
	if (n > b->len)
		n = b->len;
	b->len -= n;
	memmove(b->data, b->data + n, b->len);
	b->data[b->len] = '\0';
}

const char *buf_text(const struct buf *b)
{
	return b->data ? b->data : "";
}
