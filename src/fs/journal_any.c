/* fs/journal_any - several mounts of one target: each has a directory, and what one that has ended
 * owes is the business of whoever comes next. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/log.h"
#include "fs/disk.h"
#include "journal_private.h"

enum { MOUNTS_MAX = 16 };

/* The first mount's directory is the target's own. */
static char *numbered(const char *target, int n)
{
	char *name;
	int rc = n == 0 ? asprintf(&name, "%s", target) : asprintf(&name, "%s #%d", target, n + 1);

	return rc < 0 ? NULL : name;
}

static int move_spool(struct journal *j, const struct journal *from, uint64_t id)
{
	char name[SPOOL_NAME_SIZE], *old, *new;
	int rc;

	spool_name(id, name);
	if (asprintf(&old, "%s/%s", from->dir, name) < 0)
		return -ENOMEM;
	if (asprintf(&new, "%s/%s", j->dir, name) < 0) {
		free(old);
		return -ENOMEM;
	}
	rc = disk->rename(old, new);
	if (rc == 0)
		rc = disk->fsync_dir(j->dir);
	free(old);
	free(new);
	return rc;
}

/* In this order a crash leaves the promise to the one or to the other: without its spool it is
 * nothing, and the spool moves at once.  What needs none is then with both, and nothing is wrong
 * with doing it twice. */
static int take_over(struct journal *j, struct journal *from, const struct promise *p)
{
	int rc = journal_promise(j, p, true);

	if (rc == 0 && promise_has_spool(p))
		rc = move_spool(j, from, p->id);
	if (rc == 0)
		journal_done(from, p->id);
	return rc;
}

static int absorb(struct journal *j, struct journal *from)
{
	struct promise *v;
	size_t n;
	int rc = journal_owed(from, &v, &n);

	if (rc)
		return rc;
	for (size_t i = 0; i < n; i++) {
		if (rc == 0)
			rc = take_over(j, from, &v[i]);
		promise_clear(&v[i]);
	}
	free(v);
	return rc;
}

/* Whatever cannot be taken over now stays where it is. */
static void absorb_others(struct journal *j, const char *cache_dir, const char *target, int own)
{
	for (int i = 0; i < MOUNTS_MAX; i++) {
		char *name = i == own ? NULL : numbered(target, i);
		struct journal *other;
		int rc;

		if (!name)
			continue;
		if (journal_dir_exists(cache_dir, name) &&
		    journal_open_at_once(cache_dir, name, &other) == 0) {
			rc = absorb(j, other);
			if (rc)
				log_warn("%s: not all that it owes is taken over", other->dir);
			journal_close(other);
		}
		free(name);
	}
}

int journal_open_any(const char *cache_dir, const char *target, struct journal **out)
{
	int rc = -EBUSY;

	for (int i = 0; i < MOUNTS_MAX && rc == -EBUSY; i++) {
		char *name = numbered(target, i);

		if (!name)
			return -ENOMEM;
		rc = journal_open(cache_dir, name, out, NULL);
		if (rc == 0)
			absorb_others(*out, cache_dir, target, i);
		free(name);
	}
	return rc;
}
