/* fs/extents - sets of byte ranges, as the spool keeps them. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "fs/spool.h"

/* Index of the first range that ends at or after `at` (touches it from the left, or lies beyond).
 */
static size_t first_reaching(const struct extents *x, int64_t at)
{
	size_t low = 0, high = x->n;

	while (low < high) {
		size_t mid = low + (high - low) / 2;

		if (x->v[mid].to < at)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

static int make_room(struct extents *x)
{
	size_t cap = x->cap ? 2 * x->cap : 8;
	struct extent *v;

	if (x->n >= EXTENTS_MAX)
		return -EFBIG;
	if (x->n < x->cap)
		return 0;
	v = realloc(x->v, cap * sizeof *v);
	if (!v)
		return -ENOMEM;
	x->v = v;
	x->cap = cap;
	return 0;
}

static int insert(struct extents *x, size_t i, int64_t from, int64_t to)
{
	int rc = make_room(x);

	if (rc)
		return rc;
	memmove(x->v + i + 1, x->v + i, (x->n - i) * sizeof *x->v);
	x->v[i] = (struct extent){from, to};
	x->n++;
	return 0;
}

static void erase(struct extents *x, size_t i, size_t count)
{
	if (!count)
		return;
	memmove(x->v + i, x->v + i + count, (x->n - i - count) * sizeof *x->v);
	x->n -= count;
}

int extents_reserve(struct extents *x)
{
	return make_room(x);
}

int extents_add(struct extents *x, int64_t from, int64_t to)
{
	size_t i, last;

	if (from >= to)
		return 0;
	i = first_reaching(x, from);
	if (i == x->n || x->v[i].from > to)
		return insert(x, i, from, to);
	for (last = i; last + 1 < x->n && x->v[last + 1].from <= to; last++)
		;
	if (from < x->v[i].from)
		x->v[i].from = from;
	x->v[i].to = to > x->v[last].to ? to : x->v[last].to;
	erase(x, i + 1, last - i);
	return 0;
}

int extents_cut(struct extents *x, int64_t from, int64_t to)
{
	size_t i, last;
	int rc;

	if (from >= to)
		return 0;
	i = first_reaching(x, from);
	if (i < x->n && x->v[i].to == from)
		i++;
	if (i < x->n && x->v[i].from < from) {
		if (x->v[i].to > to) {
			rc = insert(x, i + 1, to, x->v[i].to);
			if (rc)
				return rc;
		}
		x->v[i].to = from;
		i++;
	}
	for (last = i; last < x->n && x->v[last].to <= to; last++)
		;
	erase(x, i, last - i);
	if (i < x->n && x->v[i].from < to)
		x->v[i].from = to;
	return 0;
}

bool extents_gap(const struct extents *x, int64_t from, int64_t to, struct extent *gap)
{
	size_t i;

	if (from >= to)
		return false;
	i = first_reaching(x, from);
	if (i < x->n && x->v[i].from <= from) {
		from = x->v[i].to;
		i++;
	}
	if (from >= to)
		return false;
	gap->from = from;
	gap->to = i < x->n && x->v[i].from < to ? x->v[i].from : to;
	return true;
}

bool extents_cover(const struct extents *x, int64_t from, int64_t to)
{
	struct extent gap;

	return !extents_gap(x, from, to, &gap);
}

int64_t extents_bytes(const struct extents *x)
{
	int64_t sum = 0;

	for (size_t i = 0; i < x->n; i++)
		sum += x->v[i].to - x->v[i].from;
	return sum;
}

void extents_free(struct extents *x)
{
	free(x->v);
	*x = (struct extents){0};
}
