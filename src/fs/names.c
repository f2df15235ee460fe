/* fs/names - which names we changed while their directory was being listed. */
#include <stdlib.h>
#include <string.h>

#include "tree_private.h"

enum { NAMES_FIRST = 32 };

/* Where the name is, or the empty slot where it belongs. */
static char **slot_of(char **v, size_t cap, const char *name)
{
	size_t i = tree_place_hash(0, name) & (cap - 1);

	while (v[i] && strcmp(v[i], name) != 0)
		i = (i + 1) & (cap - 1);
	return &v[i];
}

bool names_have(const struct names *set, const char *name)
{
	return set->n && *slot_of(set->v, set->cap, name);
}

static bool grow(struct names *set)
{
	size_t cap = set->cap ? 2 * set->cap : NAMES_FIRST;
	char **v;

	if (set->n < set->cap / 2)
		return true;
	if (set->n == NAMES_MAX || !(v = calloc(cap, sizeof(*v))))
		return false;
	for (size_t i = 0; i < set->cap; i++) {
		if (set->v[i])
			*slot_of(v, cap, set->v[i]) = set->v[i];
	}
	free(set->v);
	set->v = v;
	set->cap = cap;
	return true;
}

void names_note(struct dir *d, const char *name)
{
	struct names *set = &d->touched;
	char *copy;

	if (!d->fetching || set->lost || names_have(set, name))
		return;
	copy = grow(set) ? strdup(name) : NULL;
	if (!copy) {
		set->lost = true;
		return;
	}
	*slot_of(set->v, set->cap, name) = copy;
	set->n++;
}

void names_forget(struct names *set)
{
	for (size_t i = 0; i < set->cap; i++)
		free(set->v[i]);
	free(set->v);
	*set = (struct names){0};
}
