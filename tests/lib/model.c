/* model - a plain POSIX filesystem in memory. */
#include "model.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct mnode *model_new(enum entry_type type, const char *name)
{
	struct mnode *n = calloc(1, sizeof(*n));

	if (!n)
		abort();
	n->type = (uint8_t)type;
	snprintf(n->name, sizeof(n->name), "%s", name);
	return n;
}

static void drop_pasts(struct mnode *n)
{
	for (unsigned i = 0; i < n->npasts; i++)
		free(n->pasts[i].bytes);
	n->npasts = 0;
}

static void free_one(struct mnode *n)
{
	drop_pasts(n);
	free(n->bytes);
	free(n);
}

void model_free(struct mnode *n)
{
	for (struct mnode *c = n->first, *next; c; c = next) {
		next = c->next;
		model_free(c);
	}
	free_one(n);
}

struct mnode *model_child(const struct mnode *dir, const char *name)
{
	for (struct mnode *c = dir->first; c; c = c->next)
		if (strcmp(c->name, name) == 0)
			return c;
	return NULL;
}

void model_link(struct mnode *dir, struct mnode *n)
{
	n->parent = dir;
	n->next = dir->first;
	dir->first = n;
}

static void detach(struct mnode *n)
{
	struct mnode **at = &n->parent->first;

	while (*at != n)
		at = &(*at)->next;
	*at = n->next;
	n->next = NULL;
	n->parent = NULL;
}

void model_unlink(struct mnode *n)
{
	detach(n);
	if (n->handles == 0)
		free_one(n);
}

void model_move(struct mnode *n, struct mnode *dir, const char *name)
{
	struct mnode *over = model_child(dir, name);

	if (over == n)
		return;
	if (over)
		model_unlink(over);
	detach(n);
	snprintf(n->name, sizeof(n->name), "%s", name);
	model_link(dir, n);
}

void model_closed(struct mnode *n)
{
	if (--n->handles > 0)
		return;
	n->doubt = false;
	if (!n->parent)
		free_one(n);
}

bool model_below(const struct mnode *n, const struct mnode *dir)
{
	for (; n; n = n->parent)
		if (n == dir)
			return true;
	return false;
}

unsigned model_count(const struct mnode *n)
{
	unsigned count = 1;

	for (const struct mnode *c = n->first; c; c = c->next)
		count += model_count(c);
	return count;
}

bool model_any_open(const struct mnode *n)
{
	if (n->handles > 0)
		return true;
	for (const struct mnode *c = n->first; c; c = c->next)
		if (model_any_open(c))
			return true;
	return false;
}

void model_path(const struct mnode *n, struct buf *out)
{
	if (!n->parent)
		return;
	model_path(n->parent, out);
	buf_addf(out, "/%s", n->name);
}

void model_resize(struct mnode *n, size_t size)
{
	if (size > n->cap) {
		n->cap = size * 2;
		n->bytes = realloc(n->bytes, n->cap);
		if (!n->bytes)
			abort();
	}
	if (size > n->size)
		memset(n->bytes + n->size, 0, size - n->size);
	n->size = size;
}

void model_write(struct mnode *n, const void *from, size_t len, size_t at)
{
	if (at + len > n->size)
		model_resize(n, at + len);
	if (len > 0)
		memcpy(n->bytes + at, from, len);
}

static void remember(struct mnode *n, unsigned slot)
{
	struct past *p = &n->pasts[slot];

	p->n = n->size;
	p->bytes = malloc(n->size + 1);
	if (!p->bytes)
		abort();
	if (n->size > 0)
		memcpy(p->bytes, n->bytes, n->size);
}

void model_confirmed(struct mnode *n)
{
	drop_pasts(n);
	n->on_server = true;
	n->in_place = false;
	remember(n, 0);
	n->npasts = 1;
}

void model_may_be_stored(struct mnode *n)
{
	if (n->npasts == 0) { /* never confirmed: the first place is "nothing" */
		n->pasts[0] = (struct past){0};
		n->npasts = 1;
	}
	n->in_place |= n->size == 0;	/* the server's may be empty now: nothing there to spare */
	if (n->npasts == MODEL_PASTS) { /* the oldest guess goes */
		free(n->pasts[1].bytes);
		memmove(&n->pasts[1], &n->pasts[2], (MODEL_PASTS - 2) * sizeof(n->pasts[0]));
		n->npasts--;
	}
	remember(n, n->npasts++);
}

bool model_in_place(const struct mnode *n)
{
	return n->npasts == 0 || n->pasts[0].n == 0 || n->in_place;
}

bool model_plausible(const struct mnode *n, const char *bytes, size_t len)
{
	if (model_in_place(n))
		return true; /* any part of any state */
	/* As it was once, and perhaps appended to: a commit may succeed and still tell of an older
	 * failure, so that each past may have been the server's. */
	for (unsigned i = 0; i < n->npasts; i++)
		if (len >= n->pasts[i].n && memcmp(bytes, n->pasts[i].bytes, n->pasts[i].n) == 0)
			return true;
	return len == n->size && (len == 0 || memcmp(bytes, n->bytes, len) == 0);
}

bool model_mixture(const struct mnode *n, const char *bytes, size_t len)
{
	for (size_t at = 0; at < len; at++) {
		bool known = at < n->size && n->bytes[at] == bytes[at];

		for (unsigned i = 0; i < n->npasts && !known; i++)
			known = at < n->pasts[i].n && n->pasts[i].bytes[at] == bytes[at];
		if (!known)
			return false;
	}
	return true;
}

int model_may_create(const struct mnode *n, bool excl)
{
	if (!n)
		return 0;
	if (excl)
		return -EEXIST;
	return n->type == ENTRY_DIR ? -EISDIR : 0;
}

int model_may_unlink(const struct mnode *n)
{
	if (!n)
		return -ENOENT;
	return n->type == ENTRY_DIR ? -EISDIR : 0;
}

int model_may_rmdir(const struct mnode *n)
{
	if (!n)
		return -ENOENT;
	if (n->type != ENTRY_DIR)
		return -ENOTDIR;
	return n->first ? -ENOTEMPTY : 0;
}

int model_may_rename(const struct mnode *n, const struct mnode *to, const struct mnode *over,
		     bool noreplace)
{
	if (!n)
		return -ENOENT;
	if (noreplace && over)
		return -EEXIST;
	if (model_below(to, n))
		return -EINVAL;
	if (!over || over == n)
		return 0;
	if (model_below(n, over))
		return -ENOTEMPTY;
	if (n->type == ENTRY_DIR)
		return model_may_rmdir(over);
	return over->type == ENTRY_DIR ? -EISDIR : 0;
}
