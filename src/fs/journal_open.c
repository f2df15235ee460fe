/* fs/journal_open - a target's directory: whose it is, and what an earlier process left in it. */
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <search.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "fs/disk.h"
#include "journal_private.h"

enum { WORDS_MAX = 60, LOCK_TEXT = 40, LOCK_POLL_MS = 10 };

#define LEAVING " leaving"
#define MOMENT	(200 * NS_PER_MS)

/* ---- the directory ---- */

/* FNV-1a: equal texts share a directory, others do not by chance. */
static uint64_t hash(const char *text)
{
	uint64_t h = UINT64_C(0xcbf29ce484222325);

	for (; *text; text++)
		h = (h ^ (unsigned char)*text) * UINT64_C(0x100000001b3);
	return h;
}

/* The target for the eyes, then its hash. */
static int add_name(struct buf *path, const char *target)
{
	char words[WORDS_MAX + 1];
	size_t n = 0;

	for (const char *c = target; *c && n < WORDS_MAX; c++) {
		bool plain = isascii(*c) && (isalnum(*c) || strchr(".-@", *c));

		/* Neither a hidden name nor rows of fillers. */
		if (plain && (n || *c != '.'))
			words[n++] = *c;
		else if (n && words[n - 1] != '_')
			words[n++] = '_';
	}
	words[n] = '\0';
	return buf_addf(path, "/%s%s%016" PRIx64, words, n && words[n - 1] != '_' ? "_" : "",
			hash(target));
}

static int make_private(const char *path)
{
	struct stat st;

	if (mkdir(path, 0700) < 0 && errno != EEXIST)
		return -errno;
	if (lstat(path, &st) < 0)
		return -errno;
	if (!S_ISDIR(st.st_mode) || st.st_uid != geteuid() || (st.st_mode & 077)) {
		log_error("%s: is not a directory of ours that is closed to others", path);
		return -EPERM;
	}
	return 0;
}

bool journal_dir_exists(const char *cache_dir, const char *target)
{
	struct buf path;
	struct stat st;

	buf_init(&path, PATH_MAX);
	buf_adds(&path, cache_dir);
	bool exists = add_name(&path, target) == 0 && lstat(path.data, &st) == 0;
	buf_free(&path);
	return exists;
}

static int find_dir(struct journal *j, const char *cache_dir, const char *target)
{
	char *top = realpath(cache_dir, NULL);
	struct buf path;
	int rc;

	if (!top)
		return -errno;
	buf_init(&path, PATH_MAX);
	buf_adds(&path, top);
	rc = add_name(&path, target);
	if (rc == 0)
		rc = make_private(path.data);
	if (rc == 0)
		rc = disk->fsync_dir(top);
	free(top);
	if (rc == 0 && (asprintf(&j->file, "%s/journal", path.data) < 0 ||
			asprintf(&j->fresh, "%s/journal.new", path.data) < 0))
		rc = -ENOMEM;
	j->dir = path.data;
	return rc;
}

/* ---- the lock ---- */

static long read_owner(int fd, bool *leaving)
{
	char text[LOCK_TEXT] = "";

	if (disk_read(fd, text, sizeof text - 1, 0) <= 0)
		return 0;
	*leaving = strstr(text, LEAVING) != NULL;
	return strtol(text, NULL, 10);
}

/* The text is a help; the lock is what holds, on a full disk, too. */
static void sign(struct journal *j, const char *state)
{
	char text[LOCK_TEXT];

	snprintf(text, sizeof text, "%ld%s\n", (long)getpid(), state);
	if (ftruncate(j->lock_fd, 0) < 0 || pwrite(j->lock_fd, text, strlen(text), 0) < 0)
		log_debug("%s: the lock does not name us: %s", j->dir, strerror(errno));
}

static int try_lock(struct journal *j)
{
	if (flock(j->lock_fd, LOCK_EX | LOCK_NB) == 0)
		return 0;
	return errno == EWOULDBLOCK ? -EBUSY : -errno;
}

/* Somebody whose mount has just been taken away says a moment later that he is leaving. */
static int wait_lock(struct journal *j, long *owner)
{
	int64_t now = clock_monotonic(), soon = now + MOMENT, end = now + JOURNAL_PATIENCE;
	bool leaving = false, asked = false;
	int rc;

	while ((rc = try_lock(j)) == -EBUSY) {
		*owner = read_owner(j->lock_fd, &leaving);
		now = clock_monotonic();
		if (now > (leaving ? end : soon))
			break;
		if (leaving && !asked) {
			int fd = open(j->wanted, O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_WRONLY, 0600);
			if (fd >= 0)
				close(fd);
			asked = true;
		}
		poll(NULL, 0, LOCK_POLL_MS);
	}
	if (asked || rc == 0)
		unlink(j->wanted);
	return rc;
}

static int lock_dir(struct journal *j, bool wait, long *owner)
{
	long unused = 0;
	char *path;

	if (asprintf(&path, "%s/lock", j->dir) < 0 || asprintf(&j->wanted, "%s/wanted", j->dir) < 0)
		return -ENOMEM;
	j->lock_fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0600);
	free(path);
	if (j->lock_fd < 0)
		return -errno;
	int rc = wait ? wait_lock(j, owner ? owner : &unused) : try_lock(j);
	if (rc == 0)
		sign(j, "");
	return rc;
}

void journal_leaving(struct journal *j)
{
	sign(j, LEAVING);
}

bool journal_wanted(const struct journal *j)
{
	return access(j->wanted, F_OK) == 0;
}

/* ---- the journal ---- */

/* What was found. */
struct remains {
	unsigned char *bytes; /* of the journal */
	size_t n;
	bool missing, damaged, torn;
	size_t kept; /* spools under a new name */
};

static int load(struct journal *j, struct remains *r)
{
	int64_t size;
	ssize_t got;

	j->fd = disk_open(j->file, &size);
	if (j->fd == -ENOENT) {
		r->missing = true;
		return 0;
	}
	if (j->fd < 0)
		return j->fd;
	if (size > JOURNAL_MAX)
		return -EFBIG;
	r->bytes = malloc((size_t)size + 1);
	if (!r->bytes)
		return -ENOMEM;
	got = disk_read(j->fd, r->bytes, (size_t)size, 0);
	if (got < 0)
		return (int)got;
	r->n = (size_t)got;
	return 0;
}

static int replay(struct journal *j, const struct record *r)
{
	struct owed *o = journal_find(j, r->id);

	j->seq = r->seq;
	if (r->is_promise) {
		o = journal_hold(j, r->id, j->end, r->length, r->seq);
		if (o)
			o->has_spool = !promise_has_spool(&r->p);
		return o ? 0 : -ENOMEM;
	}
	if (o)
		journal_drop(j, o);
	return 0;
}

static int scan(struct journal *j, struct remains *r)
{
	struct record record;
	uint32_t version;
	int rc = journal_read_header(r->bytes, r->n, &version);

	if (rc == -EPROTO)
		log_error("%s: is of version %" PRIu32 ", this program knows %d: nothing was "
			  "changed; use the newer program, or move %s away",
			  j->file, version, JOURNAL_VERSION, j->dir);
	if (rc == -EBADMSG) {
		r->damaged = true;
		return 0;
	}
	j->end = JOURNAL_HEADER;
	while (rc == 0 && record_read(r->bytes + j->end, r->n - (size_t)j->end, &record) &&
	       record.seq > j->seq) {
		rc = replay(j, &record);
		j->end += (int64_t)record.length;
	}
	if (rc)
		return rc;
	r->torn = (size_t)j->end < r->n;
	r->damaged = r->torn &&
		     record_proves_damage(r->bytes + j->end, r->n - (size_t)j->end, j->seq);
	return 0;
}

/* ---- the rest of the directory ---- */

static int join(char **out, const char *dir, const char *name)
{
	return asprintf(out, "%s/%s", dir, name) < 0 ? -ENOMEM : 0;
}

/* A spool that no record speaks of: of no use, or its record is among those that were lost. */
static int unpromised(const char *path, struct remains *r)
{
	char *kept;
	int rc;

	if (!r->damaged && !r->missing) {
		disk->unlink(path);
		return 0;
	}
	rc = spool_keep_file(path, &kept);
	if (rc)
		return rc;
	log_info("%s: kept: the journal does not say where it belongs", kept);
	free(kept);
	r->kept++;
	return 0;
}

static int look_at(struct journal *j, const char *name, struct remains *r)
{
	uint64_t id = spool_name_id(name);
	struct owed *o = id ? journal_find(j, id) : NULL;
	char *path;
	int rc;

	if (o)
		o->has_spool = true;
	if (!id || o)
		return 0;
	rc = join(&path, j->dir, name);
	if (rc)
		return rc;
	rc = unpromised(path, r);
	free(path);
	return rc;
}

static int sweep(struct journal *j, struct remains *r)
{
	DIR *dir = opendir(j->dir);
	struct dirent *d;
	int rc = 0;

	if (!dir)
		return -errno;
	while (rc == 0 && (errno = 0, d = readdir(dir)))
		rc = look_at(j, d->d_name, r);
	/* Names that were not read must not be taken for missing. */
	if (rc == 0)
		rc = -errno;
	closedir(dir);
	if (rc || !r->kept)
		return rc;
	log_error("%s: the journal does not say where the bytes of %zu files belong that were not "
		  "on the server; they are kept-...: copy them to their places, or delete them",
		  j->dir, r->kept);
	return disk->fsync_dir(j->dir);
}

/* Only who is done with a spool deletes it: the word of that did not reach the disk. */
static void drop_kept(struct journal *j)
{
	struct owed *o, *next;

	for (o = TAILQ_FIRST(&j->owed); o; o = next) {
		next = TAILQ_NEXT(o, age);
		if (!o->has_spool)
			journal_drop(j, o);
	}
}

static int set_aside(struct journal *j, const struct remains *r)
{
	time_t now = (time_t)(clock_realtime() / NS_PER_S);
	char date[32] = "", *path;
	struct tm tm;
	int fd, rc;

	if (gmtime_r(&now, &tm))
		strftime(date, sizeof date, "%Y-%m-%dT%H%M%SZ", &tm);
	if (asprintf(&path, "%s/journal-damaged-%s", j->dir, date) < 0)
		return -ENOMEM;
	fd = disk->create(path);
	rc = fd < 0 ? fd : 0;
	if (fd >= 0) {
		disk_write(fd, r->bytes, r->n, 0, &rc);
		if (rc == 0)
			rc = disk->fdatasync(fd);
		close(fd);
	}
	log_error("%s: is damaged: the %zu promises before the damage hold; a copy is %s", j->file,
		  j->count, rc && rc != -EEXIST ? strerror(-rc) : path);
	free(path);
	/* One of the same second is of the same bytes. */
	return rc == -EEXIST ? 0 : rc;
}

/* The journal as appends need it. */
static int mend(struct journal *j, const struct remains *r)
{
	int rc;

	if (r->missing || r->damaged)
		return journal_rebuild(j);
	if (j->count == 0)
		return r->n > JOURNAL_HEADER ? journal_cut(j) : 0;
	if (!r->torn)
		return 0;
	log_info("%s: its end was not written out: %zu bytes are cut off", j->file,
		 r->n - (size_t)j->end);
	rc = disk->ftruncate(j->fd, j->end);
	return rc ? rc : disk->fdatasync(j->fd);
}

static int recover(struct journal *j)
{
	struct remains r = {0};
	int rc = load(j, &r);

	if (rc == 0 && !r.missing)
		rc = scan(j, &r);
	if (rc == 0 && r.damaged)
		rc = set_aside(j, &r);
	if (rc == 0)
		rc = sweep(j, &r);
	if (rc == 0) {
		drop_kept(j);
		rc = mend(j, &r);
	}
	free(r.bytes);
	return rc;
}

/* ---- from and to the caller ---- */

static void destroy(struct journal *j)
{
	while (!TAILQ_EMPTY(&j->owed))
		journal_drop(j, TAILQ_FIRST(&j->owed));
	if (j->fd >= 0)
		close(j->fd);
	if (j->lock_fd >= 0)
		close(j->lock_fd);
	mutex_destroy(&j->lock);
	cond_destroy(&j->settled);
	free(j->dir);
	free(j->file);
	free(j->fresh);
	free(j->wanted);
	free(j);
}

static int open_dir(const char *cache_dir, const char *target, bool wait, struct journal **out,
		    long *owner)
{
	struct journal *j = calloc(1, sizeof *j);
	int rc;

	if (!j)
		return -ENOMEM;
	j->fd = j->lock_fd = -1;
	j->compact = JOURNAL_COMPACT;
	TAILQ_INIT(&j->owed);
	mutex_init(&j->lock);
	cond_init(&j->settled);
	rc = find_dir(j, cache_dir, target);
	if (rc == 0)
		rc = lock_dir(j, wait, owner);
	if (rc == 0)
		rc = recover(j);
	if (rc) {
		destroy(j);
		return rc;
	}
	*out = j;
	return 0;
}

int journal_open(const char *cache_dir, const char *target, struct journal **out, long *owner)
{
	return open_dir(cache_dir, target, true, out, owner);
}

int journal_open_at_once(const char *cache_dir, const char *target, struct journal **out)
{
	return open_dir(cache_dir, target, false, out, NULL);
}

void journal_close(struct journal *j)
{
	if (!j)
		return;
	if (j->broken)
		journal_rebuild(j);
	else if (j->count == 0 && j->end > JOURNAL_HEADER)
		journal_cut(j);
	if (ftruncate(j->lock_fd, 0) < 0)
		log_debug("%s: the lock keeps its text", j->dir);
	destroy(j);
}
