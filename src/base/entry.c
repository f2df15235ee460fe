/* entry - what is known about one name on the server, and lists of such entries. */
#include "base/entry.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { LISTING_FIRST = 16, BLOCK_FIRST = 1 << 10, BLOCK_MAX = 1 << 20 };

/* A million small pieces, freed between nodes that stay, would leave a heap full of holes. */
struct listing_block {
	struct listing_block *next;
	size_t size, used;
	char text[];
};

void entry_clear(struct entry *e)
{
	free(e->name);
	free(e->target);
	e->name = NULL;
	e->target = NULL;
}

void listing_init(struct listing *l, size_t max)
{
	memset(l, 0, sizeof(*l));
	l->max = max < LISTING_MAX ? max : LISTING_MAX;
}

void listing_free(struct listing *l)
{
	struct listing_block *next;

	for (struct listing_block *b = l->blocks; b; b = next) {
		next = b->next;
		free(b);
	}
	free(l->v);
	memset(l, 0, sizeof(*l));
}

static int grow(struct listing *l)
{
	size_t cap = l->cap ? l->cap * 2 : LISTING_FIRST;
	struct entry *v;

	if (l->n == l->max)
		return -EOVERFLOW;
	if (cap > l->max)
		cap = l->max;
	v = reallocarray(l->v, cap, sizeof(*v));
	if (!v)
		return -ENOMEM;
	l->v = v;
	l->cap = cap;
	return 0;
}

static struct listing_block *block_for(struct listing *l, size_t need)
{
	struct listing_block *b = l->blocks;
	size_t size = b ? 2 * b->size : BLOCK_FIRST;

	if (b && b->size - b->used >= need)
		return b;
	if (size > BLOCK_MAX)
		size = BLOCK_MAX;
	if (size < need)
		size = need;
	b = malloc(sizeof(*b) + size);
	if (!b)
		return NULL;
	b->next = l->blocks;
	b->size = size;
	b->used = 0;
	l->blocks = b;
	return b;
}

static int copy_text(struct listing *l, char **text)
{
	size_t size = *text ? strlen(*text) + 1 : 0;
	struct listing_block *b = size ? block_for(l, size) : NULL;

	if (!size)
		return 0;
	if (!b)
		return -ENOMEM;
	*text = memcpy(b->text + b->used, *text, size);
	b->used += size;
	return 0;
}

int listing_add(struct listing *l, const struct entry *e)
{
	struct entry copy = *e;
	int error = l->n == l->cap ? grow(l) : 0;

	if (!error)
		error = copy_text(l, &copy.name);
	if (!error)
		error = copy_text(l, &copy.target);
	if (!error)
		l->v[l->n++] = copy;
	return error;
}

struct entry *listing_find(struct listing *l, const char *name)
{
	for (size_t i = 0; i < l->n; i++)
		if (l->v[i].name && strcmp(l->v[i].name, name) == 0)
			return &l->v[i];
	return NULL;
}
