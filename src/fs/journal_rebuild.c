/* fs/journal_rebuild - the journal written anew, from the records that hold. */
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "fs/disk.h"
#include "journal_private.h"

enum { AT_ONCE = 1 << 20 };

/* A file under construction. */
struct fresh {
	int fd;
	struct buf waiting; /* to be written at `end` */
	int64_t end;
	uint64_t seq, last; /* of the record before; of the last there will be */
};

static int flush(struct fresh *f)
{
	int error = buf_error(&f->waiting);

	if (error == 0)
		disk_write(f->fd, f->waiting.data, f->waiting.len, f->end, &error);
	f->end += (int64_t)f->waiting.len;
	buf_reset(&f->waiting);
	return error;
}

/* All of them are synced together, so each may say that all are. */
static int copy(struct journal *j, struct fresh *f, struct owed *o)
{
	char *bytes = buf_room(&f->waiting, o->length);
	struct record r;

	if (!bytes)
		return buf_error(&f->waiting);
	/* What the disk has lost since must not go into the new file as if it were sound. */
	if (disk_read(j->fd, bytes, o->length, o->at) != (ssize_t)o->length ||
	    !record_read((unsigned char *)bytes, o->length, &r) || r.id != o->id)
		return -EIO;
	record_stamp(bytes, o->length, ++f->seq, f->last);
	o->moved = f->end + (int64_t)f->waiting.len;
	buf_added(&f->waiting, o->length);
	return f->waiting.len >= AT_ONCE ? flush(f) : 0;
}

static int create(const char *path)
{
	int fd = disk->create(path);

	if (fd != -EEXIST)
		return fd;
	disk->unlink(path);
	return disk->create(path);
}

static int write_fresh(struct journal *j, struct fresh *f)
{
	unsigned char header[JOURNAL_HEADER];
	struct owed *o;
	int rc;

	journal_write_header(header);
	buf_add(&f->waiting, header, sizeof header);
	TAILQ_FOREACH(o, &j->owed, age)
	{
		rc = copy(j, f, o);
		if (rc)
			return rc;
	}
	rc = flush(f);
	return rc ? rc : disk->fdatasync(f->fd);
}

static void switch_to(struct journal *j, const struct fresh *f)
{
	struct owed *o;

	if (j->fd >= 0)
		close(j->fd);
	j->fd = f->fd;
	j->end = f->end;
	TAILQ_FOREACH(o, &j->owed, age)
	{
		o->at = o->moved;
		o->seq = ++j->seq;
	}
}

int journal_rebuild(struct journal *j)
{
	struct fresh f = {.seq = j->seq, .last = j->seq + j->count};
	int rc;

	buf_init(&f.waiting, AT_ONCE + JOURNAL_RECORD_MAX);
	f.fd = create(j->fresh);
	if (f.fd < 0)
		return f.fd;
	rc = write_fresh(j, &f);
	buf_free(&f.waiting);
	if (rc == 0)
		rc = disk->rename(j->fresh, j->file);
	if (rc) {
		close(f.fd);
		disk->unlink(j->fresh);
		return rc;
	}
	switch_to(j, &f);
	rc = disk->fsync_dir(j->dir);
	/* Which of the two files has the name after a power cut is not known. */
	j->broken = j->names_due = rc != 0;
	if (rc == 0)
		j->synced = j->seq;
	return rc;
}
