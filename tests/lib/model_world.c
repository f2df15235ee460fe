/* model_world - a filesystem under test beside its model. */
#include "model_world.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/path.h"
#include "fs/journal.h"
#include "remote/retry.h"
#include "remove_tree.h"

enum { PICK_MAX = 256 };

void rig_open(struct rig *r, const struct rig_conf *conf)
{
	const char *tmp = getenv("TMPDIR");
	struct fs_conf fc = {
		.dcache_timeout = WORLD_TTL_S * NS_PER_S,
		/* With faults: shorter than any pause, so that none is spent. */
		.timeout = conf->faults && !conf->threads ? 30 * NS_PER_MS : 30 * NS_PER_S,
		.uid = 1000,
		.gid = 1000,
		.inplace = conf->inplace ? INPLACE_ON : INPLACE_AUTO,
		.atomic = conf->atomic ? ATOMIC_ON : ATOMIC_AUTO,
		.copy_least = 1,
		.write_back = conf->back,
		.uploads = 2,
		.verify_hash = conf->traits.hash != HASH_NONE,
		.prefetch_bytes = conf->prefetch,
		.prefetch_threads = conf->prefetch ? 2 : 0,
	};
	int rc;

	*r = (struct rig){
		.server = mem_server_create(&conf->traits),
		.traits = conf->traits,
		.plan = fault_plan_create(conf->seed),
		.ctx = opctx_for(OPCTX_FOREVER),
		.faults = conf->faults,
		.threads = conf->threads,
		.back = conf->back,
	};
	snprintf(r->spool, sizeof(r->spool), "%.40s/ftpfs-model-XXXXXX", tmp ? tmp : "/dev/shm");
	if (!mkdtemp(r->spool))
		abort();
	if (conf->journal && journal_open_any(r->spool, "user@host:21/", &r->journal))
		abort();
	fc.spool_dir = r->journal ? NULL : r->spool;
	fc.journal = r->journal;
	fc.remote = retry_create(remote_fault_create(remote_mem_create(r->server), r->plan),
				 conf->patience);
	if (!fc.remote)
		abort();
	rc = fs_create(&fc, &r->fs);
	if (rc) {
		fprintf(stderr, "fs_create: %s\n", strerror(-rc));
		abort();
	}
}

void rig_unmount(struct rig *r)
{
	fs_destroy(r->fs);
	r->fs = NULL;
	if (r->journal)
		journal_close(r->journal);
}

void rig_free(struct rig *r)
{
	remove_tree(r->spool);
	mem_server_destroy(r->server);
	fault_plan_destroy(r->plan);
}

/* splitmix64 */
uint64_t world_random(struct world *w, uint64_t below)
{
	uint64_t z = w->random += UINT64_C(0x9e3779b97f4a7c15);

	z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
	return (z ^ z >> 31) % below;
}

bool world_chance(struct world *w, unsigned percent)
{
	return world_random(w, 100) < percent;
}

void world_log(struct world *w, const char *format, ...)
{
	char *line = w->log[w->lines++ % WORLD_LOG];
	int n = snprintf(line, WORLD_LINE, "%6" PRIu64 " %s", w->op, w->prefix);
	va_list args;

	va_start(args, format);
	vsnprintf(line + n, (size_t)(WORLD_LINE - n), format, args);
	va_end(args);
}

_Noreturn void world_fail(struct world *w, const char *format, ...)
{
	static pthread_mutex_t once = PTHREAD_MUTEX_INITIALIZER;
	uint64_t from = w->lines > WORLD_LOG ? w->lines - WORLD_LOG : 0;
	va_list args;

	pthread_mutex_lock(&once); /* never given back: the first one to fail speaks */
	fprintf(stderr, "the last operations (number, what):\n");
	for (uint64_t i = from; i < w->lines; i++)
		fprintf(stderr, "  %s\n", w->log[i % WORLD_LOG]);
	fprintf(stderr, "DIVERGENCE in operation %" PRIu64 ": ", w->op);
	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fprintf(stderr, "\nrepeat: FTPFS_MODEL_SEED=%" PRIu64, w->seed);
	if (!w->rig->threads)
		fprintf(stderr, " FTPFS_MODEL_EPISODE=%" PRIu64, w->episode);
	fprintf(stderr, "\n");
	fflush(NULL);
	_exit(1);
}

static const char *error_name(long rc)
{
	return rc >= 0 ? "success" : strerrorname_np((int)-rc);
}

void world_settle(struct world *w)
{
	bool paused = w->paused;

	if (!w->rig->journal || w->rig->threads)
		return;
	world_pause(w, true);
	fs_sync(w->rig->fs, &w->rig->ctx);
	world_pause(w, paused);
}

bool world_spoilt(struct world *w, const char *what, long rc, long want)
{
	static const int injected[] = {ECONNRESET, EPIPE, ETIMEDOUT, EIO, ENOSPC};

	if (rc == want)
		return false;
	for (size_t i = 0; i < sizeof(injected) / sizeof(injected[0]); i++)
		if (rc == -injected[i] && w->rig->faults && !w->paused) {
			world_log(w, "        (%s: %s)", what, error_name(rc));
			world_settle(w);
			return true;
		}
	world_fail(w, "%s: %ld (%s), the model says %ld (%s)", what, rc, error_name(rc), want,
		   error_name(want));
}

void world_pause(struct world *w, bool on)
{
	w->paused = on;
	if (w->rig->faults)
		fault_pause(w->rig->plan, on);
}

void world_expire(struct world *w)
{
	if (!w->rig->threads)
		clock_advance((WORLD_TTL_S + 5) * NS_PER_S);
}

int64_t world_now(void)
{
	int64_t now = clock_realtime();

	return now - now % NS_PER_S;
}

void world_path(struct world *w, const struct mnode *dir, const char *name, struct buf *out)
{
	buf_init(out, PATH_LIMIT + 1);
	buf_adds(out, w->prefix);
	model_path(dir, out);
	if (name)
		buf_addf(out, "/%s", name);
	if (out->len == 0)
		buf_adds(out, "/");
}

void world_forget(struct world *w, struct node *n)
{
	if (n != fs_root(w->rig->fs))
		fs_forget(w->rig->fs, n, 1);
}

static int lookup_in(struct world *w, struct node *dir, const char *name, struct node **out)
{
	struct fs_found found;
	int rc = fs_lookup(w->rig->fs, dir, name, &found, &w->rig->ctx);

	world_forget(w, dir);
	if (world_spoilt(w, "lookup on the way", rc, 0))
		return rc;
	if (!found.node)
		world_fail(w, "lookup says that \"%s\" is not there", name);
	*out = found.node;
	return 0;
}

int world_node(struct world *w, const struct mnode *m, struct node **out)
{
	struct node *dir;
	int rc;

	if (!m->parent) {
		*out = fs_root(w->rig->fs);
		return w->prefix[0] ? lookup_in(w, *out, w->prefix + 1, out) : 0;
	}
	rc = world_node(w, m->parent, &dir);
	return rc ? rc : lookup_in(w, dir, m->name, out);
}

struct picks {
	struct mnode *v[PICK_MAX];
	unsigned n;
};

static void collect(struct mnode *m, bool files, bool dirs, struct picks *p)
{
	bool wanted = m->type == ENTRY_DIR ? dirs : files && m->type == ENTRY_FILE;

	if (wanted && p->n < PICK_MAX)
		p->v[p->n++] = m;
	for (struct mnode *c = m->first; c; c = c->next)
		collect(c, files, dirs, p);
}

static struct mnode *pick(struct world *w, bool files, bool dirs)
{
	struct picks p = {.n = 0};

	collect(w->root, files, dirs, &p);
	return p.n ? p.v[world_random(w, p.n)] : NULL;
}

struct mnode *pick_dir(struct world *w)
{
	return pick(w, false, true);
}

struct mnode *pick_file(struct world *w)
{
	return pick(w, true, false);
}

struct mnode *pick_any(struct world *w)
{
	return pick(w, true, true);
}

const char *pick_name(struct world *w)
{
	static const char *const names[] = {"a", "b", "c", "d", "e", "two words", "\xc3\xa9"};

	return names[world_random(w, sizeof(names) / sizeof(names[0]))];
}

bool handle_is_for_writing(const struct mhandle *h)
{
	return (h->flags & O_ACCMODE) != O_RDONLY;
}

bool world_writes(const struct world *w, const struct mnode *m)
{
	for (int i = 0; i < WORLD_HANDLES; i++)
		if (w->handles[i].m == m && handle_is_for_writing(&w->handles[i]))
			return true;
	return false;
}
