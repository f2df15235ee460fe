/* model_test - random operations on the filesystem and on a model of it; after each one both must
 * agree.
 *
 * FTPFS_MODEL_OPS (or argv[1]): how many operations; FTPFS_MODEL_SEED: which ones (1: what
 * a check says must follow from the code alone);
 * FTPFS_MODEL_EPISODE: only that one; FTPFS_MODEL_DROP: "3,5-9": leave these operations of it out
 * (to find the few that matter: each operation's choices follow from the seed and its number
 * alone); FTPFS_MODEL_THREAD_OPS: operations of each thread. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <syslog.h>

#include "base/clock.h"
#include "base/log.h"
#include "model_world.h"

enum {
	OPS = 200000,
	OPS_EPISODE = 1500,
	OPS_THREAD = 2500,
	CHECK_EVERY = 150,
	THREADS = 4,
	SHARED_FILES = 6,
	EPISODES_MAX = 1000000, /* in a phase: their numbers do not meet */
};

static uint64_t seed, ops_wanted, thread_ops, only_episode;
static const char *dropped;

static uint64_t mix(uint64_t a, uint64_t b)
{
	struct world w = {.random = a * UINT64_C(0x2545f4914f6cdd1d) + b};

	return world_random(&w, UINT64_MAX);
}

static bool is_dropped(uint64_t op)
{
	for (const char *at = dropped; at && *at;) {
		char *end;
		uint64_t from = strtoull(at, &end, 10), to = from;

		if (*end == '-')
			to = strtoull(end + 1, &end, 10);
		if (op >= from && op <= to)
			return true;
		at = *end ? end + 1 : end;
	}
	return false;
}

static struct mem_traits random_traits(struct world *w)
{
	return (struct mem_traits){
		.no_stat = world_chance(w, 30),
		.coarse_times = world_chance(w, 30),
		.no_modes = world_chance(w, 20),
		.no_append = world_chance(w, 20),
		.no_patch = world_chance(w, 20),
		.no_set_mtime = world_chance(w, 15),
		.untold = world_chance(w, 20),
		.no_rename_over = world_chance(w, 10),
		.sloppy = world_chance(w, 30),
		.no_copy = world_chance(w, 20),
		.no_symlink = world_chance(w, 10),
		.settles_behind = world_chance(w, 50),
		.hash = world_chance(w, 30) ? HASH_MD5 : HASH_NONE,
	};
}

/* What a good connection does, too. */
static void ordinary_weather(struct fault_plan *p)
{
	fault_rate(p, FAULT_READ, FAULT_SHORT, 0, 200000);
	fault_rate(p, FAULT_READ, FAULT_STALE, 0, 20000);
}

/* Only what changes something is refused here: what a server refuses to show is lost to an open
 * file whose name goes away, which the model does not know. */
static bool changes(enum fault_op op)
{
	return op >= FAULT_OPEN_WRITE && op != FAULT_READLINK && op != FAULT_READ;
}

static void one_fault(struct world *w, struct fault_plan *p, unsigned per_million)
{
	static const int lost[] = {-ECONNRESET, -EPIPE, -ETIMEDOUT};
	enum fault_op op = (enum fault_op)world_random(w, FAULT_OPS);
	int error = lost[world_random(w, 3)];
	enum fault_kind kind = world_chance(w, 50) ? FAULT_BEFORE : FAULT_AFTER;

	if (op == FAULT_READ)
		kind = world_chance(w, 50) ? FAULT_DIE : FAULT_BEFORE;
	else if (op == FAULT_WRITE && world_chance(w, 60))
		kind = world_chance(w, 50) ? FAULT_DIE : FAULT_NOSPACE;
	else if (kind == FAULT_BEFORE && changes(op) && world_chance(w, 30))
		error = -EIO;
	fault_rate(p, op, kind, error, per_million);
}

static void storm(struct world *w, struct fault_plan *p, unsigned per_million)
{
	static const enum fault_kind broken[] = {FAULT_DIE, FAULT_NOSPACE, FAULT_AFTER};
	unsigned n = 1 + (unsigned)world_random(w, 6);

	if (world_chance(w, 40)) /* uploads are where bytes can be lost */
		fault_rate(p, FAULT_WRITE, broken[world_random(w, 3)], -ECONNRESET, per_million);

	for (unsigned i = 0; i < n; i++)
		one_fault(w, p, per_million);
}

enum phase { PLAIN, FAULTY, RETRIED, BACK };

static uint64_t injected[FAULT_KINDS];

/* One mount from beginning to end; returns how many operations it took. */
static uint64_t episode(enum phase phase, uint64_t number, uint64_t most)
{
	struct rig rig;
	struct world w = {
		.rig = &rig,
		.random = mix(seed, number),
		.seed = seed,
		.episode = number,
		.root = model_new(ENTRY_DIR, ""),
	};
	uint64_t n = 20 + world_random(&w, OPS_EPISODE), base = world_random(&w, UINT64_MAX);
	struct rig_conf conf = {
		.traits = random_traits(&w),
		.faults = phase == FAULTY || phase == RETRIED,
		.patience = phase == RETRIED ? 5 * NS_PER_S : 0,
		.prefetch = world_chance(&w, 10) ? 1 << 20 : 0,
		.inplace = world_chance(&w, 50),
		.journal = phase == BACK || number % 2,
		.back = phase == BACK,
		.seed = base,
	};

	/* Where nothing can be renamed over nothing would be stored. */
	conf.atomic = world_chance(&w, 25) && !conf.traits.no_rename_over;
	w.root->mode = 0755;
	/* The same part of a minute in every run: what a listing to the minute shows depends on it.
	 */
	clock_advance(60 * NS_PER_S - clock_realtime() % (60 * NS_PER_S) + 100 * NS_PER_MS);
	rig_open(&rig, &conf);
	if (!conf.faults)
		ordinary_weather(rig.plan);
	else
		storm(&w, rig.plan, phase == FAULTY ? 10000U << world_random(&w, 6) : 2000U);
	n = n < most ? n : most;
	for (w.op = 0; w.op < n; w.op++) {
		if (is_dropped(w.op))
			continue;
		w.random = mix(base, w.op);
		fault_reseed(rig.plan, mix(base, ~w.op));
		world_step(&w);
		if (w.op % CHECK_EVERY == CHECK_EVERY - 1)
			check_tree(&w);
	}
	world_log(&w, "the end");
	world_end(&w);
	world_log(&w, "unmount");
	rig_unmount(&rig);
	check_server(&w, rig.faults);
	for (int k = 0; k < FAULT_KINDS; k++)
		injected[k] += fault_injected(rig.plan, (enum fault_kind)k);
	rig_free(&rig);
	model_free(w.root);
	return n;
}

static void run_phase(enum phase phase, uint64_t ops)
{
	uint64_t number = (uint64_t)phase * EPISODES_MAX;
	uint64_t done = 0;

	memset(injected, 0, sizeof(injected));
	if (only_episode != UINT64_MAX) {
		if (only_episode / EPISODES_MAX == (uint64_t)phase)
			episode(phase, only_episode, UINT64_MAX);
		return;
	}
	while (done < ops)
		done += episode(phase, number++, ops - done);
	print_message("%" PRIu64 " operations in %" PRIu64 " mounts; faults:", done,
		      number - (uint64_t)phase * EPISODES_MAX);
	for (int k = 0; k < FAULT_KINDS; k++)
		print_message(" %" PRIu64 " %s", injected[k], fault_kind_name((enum fault_kind)k));
	print_message("\n");
	if (phase == FAULTY && ops >= OPS / 3)
		for (int k = 0; k < FAULT_KINDS; k++)
			if (k != FAULT_SHORT && k != FAULT_STALE && k != FAULT_DELAY)
				assert_true(injected[k] > 0);
}

static void test_plain(void **state)
{
	(void)state;
	run_phase(PLAIN, ops_wanted / 2);
}

static void test_faults(void **state)
{
	(void)state;
	run_phase(FAULTY, ops_wanted * 45 / 100);
}

static void test_retried(void **state)
{
	(void)state;
	run_phase(RETRIED, ops_wanted * 5 / 100);
}

static void test_back(void **state)
{
	(void)state;
	run_phase(BACK, ops_wanted * 30 / 100);
}

struct worker {
	struct world world;  /* a subtree of its own */
	struct world shared; /* what all of them read */
	uint64_t base;
};

static void *work(void *arg)
{
	struct worker *k = arg;
	struct world *w = &k->world;

	for (w->op = 0; w->op < thread_ops; w->op++) {
		w->random = mix(k->base, w->op);
		if (world_chance(w, 10)) {
			struct mnode *m;

			k->shared.random = mix(k->base, ~w->op);
			k->shared.op = w->op;
			m = pick_file(&k->shared);
			world_log(&k->shared, "read shared \"%s\"", m->name);
			check_path(&k->shared, m);
			check_bytes(&k->shared, m);
			check_names(&k->shared, k->shared.root);
		} else {
			world_step(w);
		}
	}
	world_end(w);
	return NULL;
}

static void shared_file(struct worker *k, struct mem_server *server, unsigned i)
{
	size_t size = 100 + i * i * 40000;
	char name[8], path[16], *bytes = malloc(size);
	struct mnode *m;

	assert_non_null(bytes);
	snprintf(name, sizeof(name), "f%u", i);
	snprintf(path, sizeof(path), "/shared/f%u", i);
	for (size_t b = 0; b < size; b++)
		bytes[b] = (char)(b * 7 + i);
	assert_int_equal(mem_put(server, path, bytes, size), 0);
	for (int t = 0; t < THREADS; t++) {
		m = model_new(ENTRY_FILE, name);
		m->mode = 0644;
		model_write(m, bytes, size, 0);
		model_link(k[t].shared.root, m);
	}
	free(bytes);
}

static void worker_init(struct worker *k, struct rig *rig, int t)
{
	*k = (struct worker){
		.world = {.rig = rig, .seed = seed, .root = model_new(ENTRY_DIR, "")},
		.shared = {.rig = rig, .seed = seed, .root = model_new(ENTRY_DIR, "")},
		.base = mix(seed, (uint64_t)(1000 + t)),
	};
	k->world.root->mode = k->shared.root->mode = 0755;
	snprintf(k->world.prefix, sizeof(k->world.prefix), "/t%d", t);
	snprintf(k->shared.prefix, sizeof(k->shared.prefix), "/shared");
	assert_int_equal(mem_make_dir(rig->server, k->world.prefix), 0);
}

static void test_threads(void **state)
{
	struct rig_conf conf = {
		.threads = true,
		.patience = NS_PER_S,
		.prefetch = 1 << 20,
		.inplace = true,
		.seed = seed,
	};
	static struct worker k[THREADS];
	pthread_t threads[THREADS];
	struct rig rig;

	(void)state;
	if (only_episode != UINT64_MAX)
		return;
	rig_open(&rig, &conf);
	ordinary_weather(rig.plan);
	fault_rate(rig.plan, FAULT_LIST, FAULT_DELAY, 0, 50000);
	fault_rate(rig.plan, FAULT_OPEN_READ, FAULT_DELAY, 0, 20000);
	fault_rate(rig.plan, FAULT_SETTLE, FAULT_DELAY, 0, 20000);
	assert_int_equal(mem_make_dir(rig.server, "/shared"), 0);
	for (int t = 0; t < THREADS; t++)
		worker_init(&k[t], &rig, t);
	for (unsigned i = 0; i < SHARED_FILES; i++)
		shared_file(k, rig.server, i);
	for (int t = 0; t < THREADS; t++)
		assert_int_equal(pthread_create(&threads[t], NULL, work, &k[t]), 0);
	for (int t = 0; t < THREADS; t++)
		assert_int_equal(pthread_join(threads[t], NULL), 0);
	rig_unmount(&rig);
	for (int t = 0; t < THREADS; t++) {
		check_server(&k[t].world, false);
		check_server(&k[t].shared, false);
		model_free(k[t].world.root);
		model_free(k[t].shared.root);
	}
	rig_free(&rig);
}

static uint64_t number_from(const char *text, uint64_t otherwise)
{
	return text && *text ? strtoull(text, NULL, 0) : otherwise;
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_plain),	cmocka_unit_test(test_faults),
		cmocka_unit_test(test_retried), cmocka_unit_test(test_back),
		cmocka_unit_test(test_threads),
	};

	ops_wanted = number_from(argc > 1 ? argv[1] : getenv("FTPFS_MODEL_OPS"), OPS);
	seed = number_from(getenv("FTPFS_MODEL_SEED"), 1);
	thread_ops = number_from(getenv("FTPFS_MODEL_THREAD_OPS"), OPS_THREAD);
	only_episode = number_from(getenv("FTPFS_MODEL_EPISODE"), UINT64_MAX);
	dropped = getenv("FTPFS_MODEL_DROP");
	print_message("FTPFS_MODEL_SEED=%" PRIu64 "\n", seed);
	if (!getenv("FTPFS_MODEL_LOG")) { /* failed commits are the point here; each logs an error
					   */
		log_to_syslog();
		setlogmask(LOG_MASK(LOG_DEBUG));
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
