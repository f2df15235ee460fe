/* fs/spool - the local bytes of one file that is being written. */
#include "fs/spool.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

/* Names are drawn at random: a spool that an earlier process left behind under the same pid is
 * somebody's data and must be neither opened nor searched past one by one. */
static int open_new(const char *dir, char **path)
{
	for (int tries = 0; tries < 16; tries++) {
		uint32_t n;
		char *p;
		int fd;

		if (getrandom(&n, sizeof n, 0) != sizeof n)
			return -EIO;
		if (asprintf(&p, "%s/.spool-%ld-%08" PRIx32, dir, (long)getpid(), n) < 0)
			return -ENOMEM;
		fd = open(p, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
		if (fd >= 0) {
			*path = p;
			return fd;
		}
		free(p);
		if (errno != EEXIST)
			return -errno;
	}
	return -EEXIST;
}

int spool_create(const char *dir, int64_t base_size, struct spool **out)
{
	struct spool *s = calloc(1, sizeof *s);

	if (!s)
		return -ENOMEM;
	s->fd = open_new(dir, &s->path);
	if (s->fd < 0) {
		int rc = s->fd;

		free(s);
		return rc;
	}
	s->size = s->base_size = base_size;
	*out = s;
	return 0;
}

void spool_abandon(struct spool *s)
{
	if (!s)
		return;
	close(s->fd);
	extents_free(&s->present);
	extents_free(&s->dirty);
	free(s->path);
	free(s);
}

void spool_destroy(struct spool *s)
{
	if (!s)
		return;
	unlink(s->path);
	spool_abandon(s);
}

/* Count of bytes written, which is n unless *error is set. */
static size_t write_all(int fd, const char *from, size_t n, int64_t at, int *error)
{
	size_t done = 0;

	*error = 0;
	while (done < n) {
		ssize_t got = pwrite(fd, from + done, n - done, at + (int64_t)done);

		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0) {
			*error = got < 0 ? -errno : -EIO;
			break;
		}
		done += (size_t)got;
	}
	return done;
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

int spool_write(struct spool *s, const void *from, size_t n, int64_t at)
{
	int64_t end = at + (int64_t)n;
	size_t done;
	int error, rc;

	rc = make_room(s);
	if (rc)
		return rc;
	done = write_all(s->fd, from, n, at, &error);
	if (error) {
		/* A write that fails does not grow the file; but what it overwrote is changed. */
		int64_t reached = at + (int64_t)done;

		if (reached > s->size) {
			if (ftruncate(s->fd, s->size) < 0)
				return -errno;
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

		write_all(s->fd, bytes + (gap.from - (end - (int64_t)n)),
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
	size_t done = 0;

	if (at >= s->size)
		return 0;
	if ((int64_t)n > s->size - at)
		n = (size_t)(s->size - at);
	if (spool_missing(s, at, at + (int64_t)n, &gap))
		return -EIO;
	while (done < n) {
		ssize_t got = pread(s->fd, (char *)to + done, n - done, at + (int64_t)done);

		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return -errno;
		if (got == 0)
			break;
		done += (size_t)got;
	}
	/* The local file ends before the file that the application sees: zeros. */
	memset((char *)to + done, 0, n - done);
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
		if (ftruncate(s->fd, size) < 0)
			return -errno;
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

void spool_clean(struct spool *s, int64_t server_size)
{
	/* What grew beyond the old base is here in full (its holes are zeros on both sides).  If
	 * memory for the note is short it is fetched again when it is read. */
	extents_add(&s->present, s->base_size, s->size);
	extents_free(&s->dirty);
	s->base_size = server_size;
	s->whole = s->shrunk = false;
}
