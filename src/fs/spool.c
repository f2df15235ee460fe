/* fs/spool - the local bytes of one file that is being written. */
#include "fs/spool.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "fs/disk.h"
#include "fs/journal.h"

enum { AHEAD_MIN = 1 << 20, AHEAD_MAX = 64 << 20 };

void spool_name(uint64_t id, char out[SPOOL_NAME_SIZE])
{
	snprintf(out, SPOOL_NAME_SIZE, "spool-%016" PRIx64, id);
}

uint64_t spool_name_id(const char *name)
{
	char again[SPOOL_NAME_SIZE];
	uint64_t id;

	if (strncmp(name, "spool-", 6) != 0)
		return 0;
	id = strtoull(name + 6, NULL, 16);
	spool_name(id, again);
	return strcmp(name, again) == 0 ? id : 0;
}

static char *path_of(const char *dir, uint64_t id)
{
	char name[SPOOL_NAME_SIZE], *path;

	spool_name(id, name);
	return asprintf(&path, "%s/%s", dir, name) < 0 ? NULL : path;
}

/* Names are drawn at random: a spool that an earlier process left behind is somebody's data and
 * must be neither opened nor searched past one by one. */
static int open_new(const char *dir, struct spool *s)
{
	for (int tries = 0; tries < 16; tries++) {
		if (getrandom(&s->id, sizeof s->id, 0) != sizeof s->id)
			return -EIO;
		if (s->id == 0)
			continue;
		s->path = path_of(dir, s->id);
		if (!s->path)
			return -ENOMEM;
		s->fd = disk->create(s->path);
		if (s->fd >= 0)
			return 0;
		free(s->path);
		if (s->fd != -EEXIST)
			return s->fd;
	}
	return -EEXIST;
}

int spool_create(const char *dir, int64_t base_size, struct spool **out)
{
	struct spool *s = calloc(1, sizeof *s);
	int rc;

	if (!s)
		return -ENOMEM;
	rc = open_new(dir, s);
	if (rc) {
		free(s);
		return rc;
	}
	s->size = s->base_size = base_size;
	*out = s;
	return 0;
}

static void spool_free(struct spool *s)
{
	if (s->fd >= 0)
		close(s->fd);
	extents_free(&s->present);
	extents_free(&s->dirty);
	free(s->path);
	free(s);
}

/* The bytes that were promised, as the application saw them: what was written behind them later was
 * not. */
static int open_promised(struct spool *s)
{
	int64_t length;

	s->fd = disk_open(s->path, &length);
	if (s->fd < 0)
		return s->fd;
	if (s->dirty.n && s->dirty.v[s->dirty.n - 1].to > length)
		return -EIO;
	return length > s->size ? disk->ftruncate(s->fd, s->size) : 0;
}

int spool_open(const char *dir, const struct promise *p, struct spool **out)
{
	struct spool *s = calloc(1, sizeof *s);
	int rc = 0;

	if (!s)
		return -ENOMEM;
	s->fd = -1;
	s->id = p->id;
	s->size = p->size;
	s->base_size = p->base_size;
	/* An empty base: however it was changed, all of it is here. */
	s->whole = p->whole || p->base_size == 0;
	s->shrunk = p->shrunk;
	s->path = path_of(dir, p->id);
	if (!s->path)
		rc = -ENOMEM;
	for (size_t i = 0; rc == 0 && i < p->dirty.n; i++) {
		rc = extents_add(&s->dirty, p->dirty.v[i].from, p->dirty.v[i].to);
		if (rc == 0)
			rc = extents_add(&s->present, p->dirty.v[i].from, p->dirty.v[i].to);
	}
	if (rc == 0)
		rc = open_promised(s);
	if (rc) {
		spool_free(s);
		return rc;
	}
	*out = s;
	return 0;
}

int spool_sync(struct spool *s)
{
	if (s->sync_error == 0)
		s->sync_error = disk->fdatasync(s->fd);
	return s->sync_error;
}

int spool_keep_file(const char *path, char **kept)
{
	const char *name = strrchr(path, '/') + 1;
	time_t now = (time_t)(clock_realtime() / NS_PER_S);
	char date[16] = "";
	struct tm tm;
	int rc;

	if (gmtime_r(&now, &tm))
		strftime(date, sizeof date, "%Y-%m-%d", &tm);
	if (asprintf(kept, "%.*skept-%s-%016" PRIx64, (int)(name - path), path, date,
		     spool_name_id(name)) < 0)
		return -ENOMEM;
	rc = disk->rename(path, *kept);
	if (rc)
		free(*kept);
	return rc;
}

/* Without the directory's fsync a power cut could bring back the old name, which nobody is promised
 * any more, and the next mount would delete it. */
int spool_keep(struct spool *s)
{
	char *kept, *slash;
	int synced = spool_sync(s), rc;

	if (spool_name_id(strrchr(s->path, '/') + 1) == 0)
		return 0;
	rc = spool_keep_file(s->path, &kept);
	if (rc)
		return rc;
	free(s->path);
	s->path = kept;
	slash = strrchr(kept, '/');
	*slash = '\0';
	rc = disk->fsync_dir(kept);
	*slash = '/';
	return rc ? rc : synced;
}

int spool_unkeep(struct spool *s)
{
	const char *name = strrchr(s->path, '/') + 1;
	char *dir, *path;
	int rc;

	if (spool_name_id(name) == s->id)
		return 0;
	dir = strndup(s->path, (size_t)(name - 1 - s->path));
	path = dir ? path_of(dir, s->id) : NULL;
	rc = path ? disk->rename(s->path, path) : -ENOMEM;
	if (rc == 0) {
		free(s->path);
		s->path = path;
		path = NULL;
		rc = disk->fsync_dir(dir);
	}
	free(path);
	free(dir);
	return rc;
}

void spool_abandon(struct spool *s)
{
	if (!s)
		return;
	spool_keep(s);
	spool_free(s);
}

void spool_leave(struct spool *s)
{
	if (s)
		spool_free(s);
}

void spool_forget(const char *dir, uint64_t id)
{
	char *path = path_of(dir, id);

	if (path)
		disk->unlink(path);
	free(path);
}

void spool_destroy(struct spool *s)
{
	if (!s)
		return;
	disk->unlink(s->path);
	spool_free(s);
}

/* Room was made in both sets before, so neither addition fails. */
static void mark_written(struct spool *s, int64_t from, int64_t to)
{
	extents_add(&s->present, from, to);
	extents_add(&s->dirty, from, to);
}

/* One range stays free in each set, so that a fill, which may need one more, never finds it full.
 */
static int make_room(struct spool *s)
{
	int rc;

	if (s->present.n + 2 > EXTENTS_MAX || s->dirty.n + 2 > EXTENTS_MAX)
		return -EFBIG;
	rc = extents_reserve(&s->present);
	return rc ? rc : extents_reserve(&s->dirty);
}

/* Finding a place for each block when it is first written is a tenth to a fifth of the CPU time of
 * a big upload; for many at once it is nearly free.  Never more than an eighth of what it has grown
 * by.
 */
static void reserve_ahead(struct spool *s, int64_t at, int64_t end)
{
	int64_t ahead = (end - s->base_size) / 8;

	if (at != s->size || end <= s->reserved || ahead < AHEAD_MIN)
		return;
	if (ahead > AHEAD_MAX)
		ahead = AHEAD_MAX;
	/* Where it cannot be had, it is not asked for again. */
	s->reserved = disk_reserve(s->fd, at, end - at + ahead) ? INT64_MAX : end + ahead;
}

int spool_write(struct spool *s, const void *from, size_t n, int64_t at)
{
	int64_t end = at + (int64_t)n;
	size_t done;
	int error, rc;

	rc = make_room(s);
	if (rc)
		return rc;
	reserve_ahead(s, at, end);
	done = disk_write(s->fd, from, n, at, &error);
	if (error) {
		/* A write that fails does not grow the file; but what it overwrote is changed. */
		int64_t reached = at + (int64_t)done;

		if (reached > s->size) {
			rc = disk->ftruncate(s->fd, s->size);
			if (rc)
				return rc;
			reached = s->size;
		}
		if (at < reached)
			mark_written(s, at, reached);
		return error;
	}
	mark_written(s, at, end);
	if (end > s->size)
		s->size = end;
	return 0;
}

int spool_fill(struct spool *s, const void *from, size_t n, int64_t at)
{
	const char *bytes = from;
	int64_t end = at + (int64_t)n;
	struct extent gap;

	while (spool_missing(s, at, end, &gap)) {
		int error, rc;

		disk_write(s->fd, bytes + (gap.from - (end - (int64_t)n)),
			   (size_t)(gap.to - gap.from), gap.from, &error);
		if (error)
			return error;
		rc = extents_add(&s->present, gap.from, gap.to);
		if (rc)
			return rc;
		at = gap.to;
	}
	return 0;
}

ssize_t spool_read(struct spool *s, void *to, size_t n, int64_t at)
{
	struct extent gap;
	ssize_t done;

	if (at >= s->size)
		return 0;
	if ((int64_t)n > s->size - at)
		n = (size_t)(s->size - at);
	if (spool_missing(s, at, at + (int64_t)n, &gap))
		return -EIO;
	done = disk_read(s->fd, to, n, at);
	if (done < 0)
		return done;
	/* The local file ends before the file that the application sees: zeros. */
	memset((char *)to + done, 0, n - (size_t)done);
	return (ssize_t)n;
}

bool spool_solid(const struct spool *s, int64_t from, int64_t to)
{
	struct extent gap;
	struct stat st;

	return !spool_missing(s, from, to, &gap) && fstat(s->fd, &st) == 0 && st.st_size >= to;
}

int spool_truncate(struct spool *s, int64_t size)
{
	if (size < s->size) {
		/* Holes must read as zeros when the file grows again, so the local bytes go first.
		 */
		int rc = disk->ftruncate(s->fd, size);

		if (rc)
			return rc;
		if (s->reserved < INT64_MAX)
			s->reserved = size;
		extents_cut(&s->present, size, INT64_MAX);
		extents_cut(&s->dirty, size, INT64_MAX);
		if (size < s->base_size) {
			s->base_size = size;
			s->shrunk = true;
		}
	}
	/* Also of a file that is empty already: emptying it again makes it newer. */
	if (size == 0)
		s->whole = true;
	s->size = size;
	return 0;
}

bool spool_missing(const struct spool *s, int64_t from, int64_t to, struct extent *gap)
{
	return extents_gap(&s->present, from, to < s->base_size ? to : s->base_size, gap);
}

bool spool_complete(const struct spool *s)
{
	struct extent gap;

	return !spool_missing(s, 0, s->size, &gap);
}

bool spool_has_base(const struct spool *s)
{
	return !s->whole && s->base_size > 0;
}

bool spool_changed(const struct spool *s)
{
	return s->whole || s->shrunk || s->dirty.n || s->size != s->base_size;
}

bool spool_only_grew(const struct spool *s)
{
	if (s->whole || s->shrunk || s->size <= s->base_size)
		return false;
	return !s->dirty.n || s->dirty.v[0].from >= s->base_size;
}

void spool_forget_fill(struct spool *s)
{
	struct extent gap;

	for (int64_t at = 0; extents_gap(&s->dirty, at, s->base_size, &gap); at = gap.to)
		if (extents_cut(&s->present, gap.from, gap.to))
			return;
}

void spool_resume(struct spool *s, int64_t size)
{
	extents_free(&s->dirty);
	if (size < s->size)
		extents_add(&s->dirty, size, s->size);
	/* What is not here is a hole, which the server's copy has as zeros. */
	if (!spool_has_base(s))
		extents_add(&s->present, 0, s->size);
	s->base_size = size;
	s->whole = s->shrunk = false;
}

void spool_elsewhere(struct spool *s, int64_t size)
{
	extents_free(&s->present);
	extents_free(&s->dirty);
	s->size = s->base_size = size;
	s->whole = s->shrunk = false;
}

void spool_clean(struct spool *s, int64_t server_size)
{
	/* What grew beyond the old base is here in full (its holes are zeros on both sides).  If
	 * memory for the note is short it is fetched again when it is read. */
	extents_add(&s->present, s->base_size, s->size);
	extents_free(&s->dirty);
	s->base_size = server_size;
	s->whole = s->shrunk = false;
}
