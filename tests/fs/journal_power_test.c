/* journal_power_test - the power fails after every single write, and nothing promised is lost.
 *
 * A random workload promises, extends, renames, finishes and gives up; then every state of the disk
 * that a power cut may have left (tests/lib/powercut) is opened and compared with what had been
 * acknowledged by then.  FTPFS_POWER_SEED begins elsewhere, FTPFS_POWER_ROUNDS does more. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "fs/disk.h"
#include "fs/journal.h"
#include "powercut.h"
#include "remote.h"

enum {
	STEPS = 20,
	ROUNDS = 2,
	LIVES = 3,
	DICE = 3,
	COMPACT = 700,
	LIVE_MAX = 5,
	ATTEMPTS_MAX = 400
};
/* What the workload tells of itself. */
enum { TRIED, ACKNOWLEDGED, FINISHED, KEPT /* about to be */ };

static const char target[] = "ftp://someone@server/";
static char cache[64], scratch[64], cache_dir[400], scratch_dir[400];
static unsigned seed;

static unsigned roll(unsigned below)
{
	return (unsigned)rand_r(&seed) % below;
}

/* ---- what was promised ---- */

/* One call of journal_promise(), with the bytes that its spool had. */
struct attempt {
	struct promise p;
	char bytes[600];
};

static struct attempt attempts[ATTEMPTS_MAX];
static size_t attempt_count;

/* Of each attempt, at the moment that is looked at.  A later one of the same id counts for it. */
static struct marks {
	bool tried[ATTEMPTS_MAX], acknowledged[ATTEMPTS_MAX], finished[ATTEMPTS_MAX],
		kept[ATTEMPTS_MAX];
} marks, before; /* before: when the workload began */

static void noted(int what, size_t which)
{
	bool *const of[] = {marks.tried, marks.acknowledged, marks.finished, marks.kept};

	of[what][which] = true;
	for (size_t i = 0; what == KEPT && i < which; i++)
		marks.kept[i] |= marks.tried[i] && attempts[i].p.id == attempts[which].p.id;
}

static void demand(bool holds, const char *what, uint64_t id)
{
	if (!holds)
		fail_msg("%s (%016llx) %s", what, (unsigned long long)id, powercut_where());
}

static bool same_text(const char *a, const char *b)
{
	return a == b || (a && b && strcmp(a, b) == 0);
}

static bool same(const struct promise *a, const struct promise *b)
{
	return a->id == b->id && same_text(a->path, b->path) && a->size == b->size &&
	       a->base_size == b->base_size && a->whole == b->whole &&
	       a->server_size == b->server_size && a->mode == b->mode && a->dirty.n == b->dirty.n &&
	       (!a->dirty.n ||
		memcmp(a->dirty.v, b->dirty.v, a->dirty.n * sizeof *a->dirty.v) == 0);
}

/* Attempt `last` is what became of them all, and its spool was not given up. */
static void survived(size_t last)
{
	for (size_t i = 0; i < attempt_count; i++) {
		if (attempts[i].p.id != attempts[last].p.id)
			continue;
		marks.kept[i] = false;
		if (i > last)
			marks.tried[i] = false;
	}
}

/* The attempt that made this promise. */
static size_t last_attempt(const struct promise *p)
{
	for (size_t i = attempt_count; i-- > 0;)
		if (same(p, &attempts[i].p))
			return i;
	fail_msg("%s is owed, and was never promised so", p->path);
	return 0;
}

/* The last attempt that was acknowledged and that nothing has ended; or -1. */
static int last_due(uint64_t id)
{
	int due = -1;

	for (size_t i = 0; i < attempt_count; i++) {
		if (attempts[i].p.id != id)
			continue;
		if (marks.finished[i])
			return -1;
		if (marks.acknowledged[i])
			due = (int)i;
	}
	return due;
}

/* ---- the workload ---- */

struct work {
	struct journal *j;
	struct spool *live[LIVE_MAX];
	size_t last[LIVE_MAX];	 /* attempt */
	bool durable[LIVE_MAX];	 /* some attempt was */
	char name[LIVE_MAX][32]; /* the path */
};

static void promise(struct work *w, unsigned k, bool durable)
{
	struct spool *s = w->live[k];
	struct attempt *a = &attempts[attempt_count];
	struct promise *p = &a->p;

	assert_true(attempt_count < ATTEMPTS_MAX);
	memset(a, 0, sizeof *a);
	p->id = s->id;
	p->path = strdup(w->name[k]);
	p->size = s->size;
	p->base_size = s->base_size;
	p->whole = s->whole;
	p->server_size = (int64_t)roll(1000) - 1;
	p->server_mtime = p->mtime = REMOTE_KEEP_MTIME;
	p->mode = roll(2) ? REMOTE_KEEP_MODE : 0644;
	for (size_t i = 0; i < s->dirty.n; i++)
		extents_add(&p->dirty, s->dirty.v[i].from, s->dirty.v[i].to);
	assert_true(pread(s->fd, a->bytes, sizeof a->bytes, 0) >= 0);
	if (durable || w->durable[k])
		assert_int_equal(spool_sync(s), 0);
	powercut_note(TRIED, attempt_count);
	assert_int_equal(journal_promise(w->j, p, durable), 0);
	if (durable)
		powercut_note(ACKNOWLEDGED, attempt_count);
	w->durable[k] |= durable;
	w->last[k] = attempt_count++;
}

static void extend(struct work *w, unsigned k)
{
	char bytes[60];
	size_t n = 1 + roll(sizeof bytes - 1);

	memset(bytes, (int)('a' + roll(26)), n);
	assert_int_equal(spool_write(w->live[k], bytes, n, w->live[k]->size + roll(20)), 0);
}

static void begin(struct work *w, unsigned k)
{
	static unsigned number;

	assert_int_equal(spool_create(journal_dir(w->j), roll(30), &w->live[k]), 0);
	w->live[k]->whole = roll(2);
	w->durable[k] = false;
	snprintf(w->name[k], sizeof w->name[k], "/dir/file %u", number++);
	if (roll(5))
		extend(w, k);
	promise(w, k, roll(4));
}

static void finish(struct work *w, unsigned k, bool give_up)
{
	if (give_up) {
		powercut_note(KEPT, w->last[k]);
		assert_int_equal(spool_keep(w->live[k]), 0);
	}
	powercut_note(FINISHED, w->last[k]);
	journal_done(w->j, w->live[k]->id);
	(give_up ? spool_abandon : spool_destroy)(w->live[k]);
	w->live[k] = NULL;
}

static void start(struct work *w)
{
	assert_int_equal(journal_open(cache, target, &w->j, NULL), 0);
	journal_set_compact(w->j, COMPACT);
}

static void step(struct work *w)
{
	unsigned k = roll(LIVE_MAX);

	if (!roll(15)) {
		journal_close(w->j);
		start(w);
	} else if (!w->live[k]) {
		begin(w, k);
	} else if (!roll(3)) {
		finish(w, k, !roll(4));
	} else {
		if (roll(2) && w->live[k]->size < 400)
			extend(w, k);
		else
			strcat(w->name[k], "'");
		promise(w, k, roll(2));
	}
}

/* What an earlier life left is taken up, or ended where nobody had been promised it. */
static void take_up(struct work *w)
{
	struct promise *owed;
	size_t n, k = 0;

	assert_int_equal(journal_owed(w->j, &owed, &n), 0);
	for (size_t i = 0; i < n; i++) {
		size_t last = last_attempt(&owed[i]);
		struct spool *s;

		survived(last);
		if (k < LIVE_MAX && spool_open(journal_dir(w->j), &owed[i], &s) == 0) {
			w->live[k] = s;
			w->durable[k] = last_due(s->id) >= 0;
			w->last[k] = last;
			snprintf(w->name[k++], sizeof w->name[0], "%s", owed[i].path);
		} else {
			char path[600], name[SPOOL_NAME_SIZE];

			powercut_note(FINISHED, last);
			journal_done(w->j, owed[i].id);
			spool_name(owed[i].id, name);
			snprintf(path, sizeof path, "%s/%s", journal_dir(w->j), name);
			disk->unlink(path);
		}
		promise_clear(&owed[i]);
	}
	free(owed);
}

static void run_workload(const char *dir)
{
	struct work w = {0};

	powercut_record(dir);
	start(&w);
	take_up(&w);
	for (int i = 0; i < STEPS; i++)
		step(&w);
	for (unsigned k = 0; k < LIVE_MAX; k++)
		if (w.live[k] && roll(2))
			finish(&w, k, false);
	journal_close(w.j);
	powercut_stop();
	for (unsigned k = 0; k < LIVE_MAX; k++)
		if (w.live[k])
			spool_destroy(w.live[k]);
}

/* ---- what has to be there ---- */

static bool bytes_there(int fd, const struct attempt *a)
{
	char got[600];

	for (size_t i = 0; i < a->p.dirty.n; i++) {
		struct extent e = a->p.dirty.v[i];

		if (pread(fd, got, (size_t)(e.to - e.from), e.from) != e.to - e.from ||
		    memcmp(got, a->bytes + e.from, (size_t)(e.to - e.from)) != 0)
			return false;
	}
	return true;
}

/* A promise that is owed is one that was made, not older than the last acknowledged one. */
static void check_owed(const struct journal *j, const struct promise *p)
{
	int due = last_due(p->id);
	bool known = false;
	struct spool *s;

	for (size_t i = due < 0 ? 0 : (size_t)due; i < attempt_count; i++)
		known |= marks.tried[i] && same(p, &attempts[i].p);
	demand(known, "owed, and never promised so", p->id);
	int rc = spool_open(journal_dir(j), p, &s);

	if (due < 0) {
		demand(rc == 0 || rc == -EIO, "a spool that was not synced", p->id);
	} else {
		demand(rc == 0, "promised, and its spool cannot be opened", p->id);
		demand(bytes_there(s->fd, &attempts[due]), "promised, and its bytes are others",
		       p->id);
	}
	if (rc == 0)
		spool_abandon(s);
}

/* Bytes that somebody was told of, and that are not owed any more. */
static void check_kept(const struct journal *j, const struct attempt *a)
{
	char pattern[600];
	glob_t found;

	snprintf(pattern, sizeof pattern, "%s/kept-*-%016llx", journal_dir(j),
		 (unsigned long long)a->p.id);
	demand(glob(pattern, 0, NULL, &found) == 0, "bytes that were kept are gone", a->p.id);
	int fd = open(found.gl_pathv[0], O_RDONLY);

	globfree(&found);
	demand(fd >= 0 && bytes_there(fd, a), "bytes that were kept are others", a->p.id);
	close(fd);
}

/* Only what was on disk once and is bad now is damage: no power cut makes that. */
static void check_no_damage(const struct journal *j)
{
	char pattern[600];
	glob_t found;

	snprintf(pattern, sizeof pattern, "%s/journal-damaged-*", journal_dir(j));
	demand(glob(pattern, 0, NULL, &found) == GLOB_NOMATCH, "taken for damage", 0);
}

static void look(void)
{
	struct promise *owed;
	struct journal *j;
	size_t n;
	int rc = journal_open(scratch, target, &j, NULL);

	demand(rc == 0, "the journal does not open", (uint64_t)-rc);
	demand(journal_owed(j, &owed, &n) == 0, "what is owed cannot be read", 0);
	for (size_t i = 0; i < attempt_count; i++) {
		bool found = false;

		for (size_t k = 0; k < n; k++)
			found |= owed[k].id == attempts[i].p.id;
		bool due = last_due(attempts[i].p.id) >= 0;

		if (!marks.tried[i])
			continue;
		demand(found || marks.kept[i] || !due, "promised, and not owed", attempts[i].p.id);
		if (marks.kept[i] && !found && (due || marks.finished[i]))
			check_kept(j, &attempts[i]);
	}
	for (size_t k = 0; k < n; k++) {
		check_owed(j, &owed[k]);
		promise_clear(&owed[k]);
	}
	free(owed);
	check_no_damage(j);
	journal_close(j);
}

static void empty_dir(const char *dir)
{
	char command[450];

	snprintf(command, sizeof command, "rm -f %s/*", dir);
	assert_int_equal(system(command), 0);
}

/* Each life ends with a power cut somewhere, and the next begins with what that left. */
static void test_power_cuts(void **unused)
{
	const struct powercut_eyes eyes = {noted, look};
	const char *rounds = getenv("FTPFS_POWER_ROUNDS"), *first = getenv("FTPFS_POWER_SEED");
	unsigned base = first ? (unsigned)atoi(first) : 1;
	unsigned end = base + (rounds ? (unsigned)atoi(rounds) : ROUNDS);

	(void)unused;
	for (unsigned round = base; round < end; round++) {
		seed = round;
		memset(&before, 0, sizeof before);
		empty_dir(cache_dir);
		for (int life = 0; life < LIVES; life++) {
			marks = before;
			run_workload(cache_dir);
			before = marks;
			print_message("seed %u, life %d: %zu operations, %zu promises", round, life,
				      powercut_operations(), attempt_count);
			print_message(", %zu disks\n",
				      powercut_replay(scratch_dir, &eyes, DICE, round));
			marks = before;
			powercut_strike(&eyes, round);
			before = marks;
			powercut_forget();
		}
		for (size_t k = 0; k < attempt_count; k++)
			promise_clear(&attempts[k].p);
		attempt_count = 0;
	}
}

static void learn_dir(const char *top, char out[400])
{
	struct journal *j;

	assert_int_equal(journal_open(top, target, &j, NULL), 0);
	snprintf(out, 400, "%s", journal_dir(j));
	journal_close(j);
}

/* In memory, where there is such a place: thousands of directories are built. */
static int make_places(void **unused)
{
	const char *top = access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp";

	(void)unused;
	log_set_level(getenv("FTPFS_POWER_LOG") ? LOG_LEVEL_DEBUG : (enum log_level)(-1));
	snprintf(cache, sizeof cache, "%s/ftpfs-power-XXXXXX", top);
	snprintf(scratch, sizeof scratch, "%s/ftpfs-power-XXXXXX", top);
	if (!mkdtemp(cache) || !mkdtemp(scratch))
		return -1;
	learn_dir(cache, cache_dir);
	learn_dir(scratch, scratch_dir);
	return 0;
}

static int remove_places(void **unused)
{
	char command[200];

	(void)unused;
	snprintf(command, sizeof command, "rm -rf %s %s", cache, scratch);
	return system(command);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_power_cuts),
	};

	return cmocka_run_group_tests_name("journal_power", tests, make_places, remove_places);
}
