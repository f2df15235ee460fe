/* entry - what is known about one name on the server, and lists of such entries. */
#include "base/entry.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { LISTING_FIRST = 16 };

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
	for (size_t i = 0; i < l->n; i++)
		entry_clear(&l->v[i]);
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

static int copy_text(char **to, const char *from)
{
	*to = from ? strdup(from) : NULL;
	return from && !*to ? -ENOMEM : 0;
}

int listing_add(struct listing *l, const struct entry *e)
{
	struct entry copy = *e;
	int error = l->n == l->cap ? grow(l) : 0;

	if (error)
		return error;
	copy.target = NULL;
	error = copy_text(&copy.name, e->name);
	if (!error)
		error = copy_text(&copy.target, e->target);
	if (error) {
		entry_clear(&copy);
		return error;
	}
	l->v[l->n++] = copy;
	return 0;
}

struct entry *listing_find(struct listing *l, const char *name)
{
	for (size_t i = 0; i < l->n; i++)
		if (l->v[i].name && strcmp(l->v[i].name, name) == 0)
			return &l->v[i];
	return NULL;
}
