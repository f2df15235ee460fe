/* fs/journal - what the server is owed: promises, and what a sync means. */
#include <errno.h>
#include <search.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "fs/disk.h"
#include "journal_private.h"

/* ---- what holds ---- */

static int by_id(const void *a, const void *b)
{
	uint64_t x = ((const struct owed *)a)->id, y = ((const struct owed *)b)->id;

	return x < y ? -1 : x > y;
}

struct owed *journal_find(struct journal *j, uint64_t id)
{
	struct owed key = {.id = id};
	struct owed **found = tfind(&key, &j->by_id, by_id);

	return found ? *found : NULL;
}

static struct owed *new_owed(struct journal *j, uint64_t id)
{
	struct owed *o = calloc(1, sizeof *o);

	if (!o)
		return NULL;
	o->id = id;
	if (!tsearch(o, &j->by_id, by_id)) {
		free(o);
		return NULL;
	}
	TAILQ_INSERT_TAIL(&j->owed, o, age);
	j->count++;
	return o;
}

struct owed *journal_hold(struct journal *j, uint64_t id, int64_t at, size_t length, uint64_t seq)
{
	struct owed *o = journal_find(j, id);

	if (!o)
		o = new_owed(j, id);
	if (!o)
		return NULL;
	TAILQ_REMOVE(&j->owed, o, age);
	TAILQ_INSERT_TAIL(&j->owed, o, age);
	j->live += (int64_t)length - (int64_t)o->length;
	o->at = at;
	o->length = length;
	o->seq = seq;
	return o;
}

void journal_drop(struct journal *j, struct owed *o)
{
	tdelete(o, &j->by_id, by_id);
	TAILQ_REMOVE(&j->owed, o, age);
	j->count--;
	j->live -= (int64_t)o->length;
	free(o);
}

/* ---- the file ---- */

int journal_cut(struct journal *j)
{
	int rc = disk->ftruncate(j->fd, JOURNAL_HEADER);

	if (rc)
		return rc;
	j->end = JOURNAL_HEADER;
	/* At once: what is appended next must not meet the old records behind it. */
	rc = disk->fdatasync(j->fd);
	j->broken = rc != 0;
	if (rc == 0)
		j->synced = j->seq;
	return rc;
}

static void compact_locked(struct journal *j) REQUIRES(j->lock)
{
	int rc = 0;

	if (j->syncing || j->end <= j->compact || j->end <= j->compact_from)
		return;
	if (j->count == 0)
		rc = journal_cut(j);
	else if (j->live < j->end / 2)
		rc = journal_rebuild(j);
	if (rc)
		log_warn("%s: cannot be written anew: %s", j->file, strerror(-rc));
	/* Not at every record until there is room again. */
	j->compact_from = rc ? j->end + j->compact : 0;
}

static void wait_locked(struct journal *j) REQUIRES(j->lock)
{
	cond_wait_until(&j->settled, &j->lock, clock_monotonic() + LOCK_SLICE_NS);
}

/* A file that may be added to. */
static int usable_locked(struct journal *j) REQUIRES(j->lock)
{
	while (j->broken && j->syncing)
		wait_locked(j);
	return j->broken ? journal_rebuild(j) : 0;
}

static int append_locked(struct journal *j, struct buf *record) REQUIRES(j->lock)
{
	int error;

	if (j->end + (int64_t)record->len > JOURNAL_MAX)
		return -ENOSPC;
	record_stamp(record->data, record->len, j->seq + 1, j->synced);
	disk_write(j->fd, record->data, record->len, j->end, &error);
	if (error) {
		/* Should that fail, the next record is written over it. */
		disk->ftruncate(j->fd, j->end);
		return error;
	}
	j->seq++;
	j->end += (int64_t)record->len;
	return 0;
}

/* ---- syncing, for all who wait ---- */

static int sync_file(int fd, const char *dir, bool names)
{
	int rc = disk->fdatasync(fd);

	return rc == 0 && names ? disk->fsync_dir(dir) : rc;
}

/* Everything appended so far, without the lock. */
static int sync_now_locked(struct journal *j) REQUIRES(j->lock)
{
	uint64_t reached = j->seq;
	bool names = j->names_due;
	int fd = j->fd, rc;

	j->syncing = true;
	j->names_due = false;
	mutex_unlock(&j->lock);
	rc = sync_file(fd, j->dir, names);
	mutex_lock(&j->lock);
	j->syncing = false;
	if (rc == 0) {
		j->synced = reached;
	} else {
		j->names_due |= names;
		j->broken = true;
		j->failed = reached;
		j->error = rc;
	}
	cond_broadcast(&j->settled);
	return rc;
}

static int sync_to_locked(struct journal *j, uint64_t seq) REQUIRES(j->lock)
{
	while (j->synced < seq && j->failed < seq) {
		if (j->syncing)
			wait_locked(j);
		else
			sync_now_locked(j);
	}
	/* A file written anew since has it all, whatever failed before. */
	return j->synced >= seq ? 0 : j->error;
}

/* ---- promises ---- */

/* The sync failed: what held before holds again, unless its record went when the file was written
 * anew meanwhile. */
static void take_back_locked(struct journal *j, uint64_t id, uint64_t seq,
			     const struct owed *before) REQUIRES(j->lock)
{
	struct owed *o = journal_find(j, id);

	if (!o)
		return;
	if (!before->length)
		journal_drop(j, o);
	else if (o->seq == seq)
		journal_hold(j, id, before->at, before->length, before->seq);
}

static int promise_locked(struct journal *j, uint64_t id, struct buf *record, bool durable)
	REQUIRES(j->lock)
{
	struct owed before = {0}, *o;
	int rc = usable_locked(j);
	uint64_t seq;

	if (rc)
		return rc;
	o = journal_find(j, id);
	if (o)
		before = *o;
	else if (!(o = new_owed(j, id)))
		return -ENOMEM;
	rc = append_locked(j, record);
	if (rc) {
		if (!before.length)
			journal_drop(j, o);
		return rc;
	}
	seq = j->seq;
	journal_hold(j, id, j->end - (int64_t)record->len, record->len, seq);
	if (!durable)
		return 0;
	j->names_due |= !o->named;
	rc = sync_to_locked(j, seq);
	if (rc)
		take_back_locked(j, id, seq, &before);
	else if ((o = journal_find(j, id)))
		o->named = true;
	return rc;
}

int journal_promise(struct journal *j, const struct promise *p, bool durable)
{
	struct buf record;
	int rc;

	buf_init(&record, JOURNAL_RECORD_MAX);
	rc = record_promise(&record, p);
	if (rc == 0) {
		mutex_lock(&j->lock);
		rc = promise_locked(j, p->id, &record, durable);
		compact_locked(j);
		mutex_unlock(&j->lock);
	}
	buf_free(&record);
	return rc;
}

static void done_locked(struct journal *j, uint64_t id, struct buf *record) REQUIRES(j->lock)
{
	int rc = usable_locked(j);
	struct owed *o = journal_find(j, id);

	if (!o)
		return;
	if (rc == 0)
		rc = append_locked(j, record);
	if (rc)
		log_info("%s: not noted that a file is stored: %s; the next mount will look at it",
			 j->file, strerror(-rc));
	journal_drop(j, o);
	compact_locked(j);
}

void journal_done(struct journal *j, uint64_t id)
{
	struct buf record;

	buf_init(&record, JOURNAL_RECORD_MAX);
	if (record_done(&record, id) == 0) {
		mutex_lock(&j->lock);
		done_locked(j, id, &record);
		mutex_unlock(&j->lock);
	}
	buf_free(&record);
}

/* ---- questions ---- */

static int read_owed(struct journal *j, const struct owed *o, struct promise *out)
{
	unsigned char *bytes = malloc(o->length);
	struct record r;
	int rc = 0;

	if (!bytes)
		return -ENOMEM;
	if (disk_read(j->fd, bytes, o->length, o->at) != (ssize_t)o->length ||
	    !record_read(bytes, o->length, &r) || !r.is_promise || r.id != o->id)
		rc = -EIO;
	if (rc == 0)
		rc = record_to_promise(&r, out);
	free(bytes);
	return rc;
}

int journal_owed(struct journal *j, struct promise **out, size_t *n)
{
	struct owed *o;
	int rc = 0;

	*n = 0;
	mutex_lock(&j->lock);
	*out = calloc(j->count + 1, sizeof **out);
	if (!*out)
		rc = -ENOMEM;
	TAILQ_FOREACH(o, &j->owed, age)
	{
		if (rc == 0)
			rc = read_owed(j, o, *out + *n);
		if (rc)
			break;
		++*n;
	}
	mutex_unlock(&j->lock);
	if (rc && *out) {
		while (*n)
			promise_clear(*out + --*n);
		free(*out);
		*out = NULL;
	}
	return rc;
}

size_t journal_count(struct journal *j)
{
	size_t count;

	mutex_lock(&j->lock);
	count = j->count;
	mutex_unlock(&j->lock);
	return count;
}

void journal_set_compact(struct journal *j, int64_t bytes)
{
	mutex_lock(&j->lock);
	j->compact = bytes;
	mutex_unlock(&j->lock);
}

const char *journal_dir(const struct journal *j)
{
	return j->dir;
}
