/* crash_test - the process ends at every step of a workload: what was promised is kept by the next
 * mount, every file is wholly old or wholly new, and nothing of ours is left behind.
 *
 * A step is a call to the server or to the local disk (kill.h).  The workload is run once for each
 * step: it is killed before that one, mounted again and looked at.  In one of three rounds the
 * mount that recovers is killed, too; in others the server does not get its first DELE.
 *
 * FTPFS_CRASH_SEEDS=[FIRST-]LAST: which workloads; FTPFS_CRASH_KILL: only before that step;
 * FTPFS_CRASH_LOG: what ftpfs has to say.  Where threads of the filesystem's own are at work, the
 * same numbers are not always the same run. */
#include <errno.h>
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <syslog.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/log.h"
#include "crash_world.h"
#include "kill.h"

enum {
	OPS = 24,
	PROCESSES = 16, /* most of the time is waited for */
	STRIDE_BIG = 7, /* of a big file the steps are many, and alike */
	SEEDS = 4,
};

static uint64_t first_seed = 1, last_seed = SEEDS, only_kill;

static struct crash_conf conf_of(uint64_t seed, bool back)
{
	static const enum atomicity atomic[] = {ATOMIC_AUTO, ATOMIC_AUTO, ATOMIC_OFF, ATOMIC_ON};

	return (struct crash_conf){
		.back = back,
		.big = seed % 5 == 0,
		.inplace = seed & 2 ? INPLACE_ON : INPLACE_OFF,
		.atomic = atomic[seed % 4],
		.compact = seed % 4 == 3 ? 600 : 0,
		.traits = {.settles_behind = seed & 1,
			   .no_append = seed % 3 == 0,
			   .no_copy = seed % 3 != 0,
			   .no_stat = seed % 7 == 6,
			   .untold = seed % 5 == 4,
			   .no_set_mtime = seed % 11 == 10,
			   /* atomic=on stores nothing there */
			   .no_rename_over = seed % 5 == 4 && seed % 4 != 3},
	};
}

static void workload(struct crash *c)
{
	int rc = 0;

	for (int n = 0; n < OPS && rc == 0; n++) {
		rc = crash_step(c);
		if (kill_happened())
			return;
		if (rc == 0)
			crash_done(c);
	}
	if (rc == 0)
		rc = crash_close_all(c);
	if (rc && !kill_happened())
		crash_fail(c, "failed, and nobody was killed: %s", strerror(-rc));
}

/* Mounts until one lives.  True: what it removes first is not removed at once. */
static bool recover(struct crash *c, uint64_t seed)
{
	bool loses;

	clock_advance(60 * NS_PER_S);
	if (crash_chance(c, 33)) {
		uint64_t steps = 1 + crash_dice(c, 40);

		kill_after(steps, seed);
		crash_tell(c, "-- recovering, killed before step %" PRIu64, steps);
		if (crash_mount(c) == 0)
			fs_sync(c->fs, &c->ctx);
		crash_unmount(c);
		clock_advance(60 * NS_PER_S);
	}
	kill_after(KILL_NEVER, seed);
	loses = crash_chance(c, 20);
	if (loses) {
		crash_tell(c, "-- the first DELE is lost");
		fault_nth(c->plan, FAULT_REMOVE, crash_chance(c, 50) ? FAULT_BEFORE : FAULT_AFTER,
			  -ECONNRESET, 1, 1);
	}
	if (crash_mount(c) != 0)
		crash_fail(c, "cannot be mounted again");
	return loses;
}

/* Was there such a step? */
static bool round_of(const struct crash_conf *conf, uint64_t seed, uint64_t step)
{
	static struct crash c;
	bool reached, loses;
	int rc;

	crash_begin(&c, conf, seed);
	snprintf(c.title, sizeof c.title, "seed %" PRIu64 ", %s, killed before step %" PRIu64, seed,
		 conf->back ? "back" : "through", step);
	kill_after(KILL_NEVER, seed);
	if (crash_mount(&c) != 0)
		crash_fail(&c, "cannot be mounted");
	kill_after(step, seed ^ step << 32);
	workload(&c);
	reached = kill_happened();
	crash_unmount(&c);
	c.dice = seed ^ step << 32;
	loses = recover(&c, seed);
	crash_check_mount(&c);
	rc = fs_sync(c.fs, &c.ctx);
	/* What may have come late is looked for once more. */
	clock_advance(2 * NS_PER_S);
	if (rc == 0)
		rc = fs_sync(c.fs, &c.ctx);
	if (rc)
		crash_fail(&c, "cannot be stored: %s", strerror(-rc));
	/* A copy's name is not used again (copy_discard()): the next mount removes it. */
	if (loses && conf->atomic == ATOMIC_ON) {
		crash_unmount(&c);
		if (crash_mount(&c) != 0)
			crash_fail(&c, "cannot be mounted for the last time");
	}
	crash_check_server(&c);
	crash_unmount(&c);
	crash_end(&c);
	return reached;
}

/* Every PROCESSES-th step of each workload. */
static uint64_t rounds_of(bool back, uint64_t number)
{
	uint64_t kills = 0;

	kill_setup();
	for (uint64_t seed = first_seed; seed <= last_seed; seed++) {
		struct crash_conf conf = conf_of(seed, back);
		uint64_t stride = conf.big ? STRIDE_BIG : 1, step = 1 + number * stride;

		if (only_kill) {
			round_of(&conf, seed, only_kill);
			kills++;
			continue;
		}
		while (round_of(&conf, seed, step)) {
			step += PROCESSES * stride;
			kills++;
		}
	}
	return kills;
}

static void crash_everywhere(bool back)
{
	int processes = only_kill ? 1 : PROCESSES, status, failed = 0, pipes[2];
	uint64_t kills = 0, some;

	assert_int_equal(pipe(pipes), 0);
	fflush(NULL);
	for (int i = 0; i < processes; i++) {
		pid_t pid = fork();

		assert_true(pid >= 0);
		if (pid == 0) {
			some = rounds_of(back, (uint64_t)i);
			_exit(write(pipes[1], &some, sizeof some) != sizeof some);
		}
	}
	close(pipes[1]);
	for (int i = 0; i < processes; i++) {
		assert_true(wait(&status) > 0);
		failed += status != 0;
	}
	while (read(pipes[0], &some, sizeof some) == sizeof some)
		kills += some;
	close(pipes[0]);
	print_message("%" PRIu64 " kills\n", kills);
	assert_int_equal(failed, 0);
}

static void test_back(void **state)
{
	(void)state;
	crash_everywhere(true);
}

static void test_through(void **state)
{
	(void)state;
	crash_everywhere(false);
}

static void read_environment(void)
{
	const char *seeds = getenv("FTPFS_CRASH_SEEDS"), *kill = getenv("FTPFS_CRASH_KILL");
	char *end;

	if (seeds) {
		last_seed = strtoull(seeds, &end, 10);
		if (*end == '-') {
			first_seed = last_seed;
			last_seed = strtoull(end + 1, NULL, 10);
		}
	}
	if (kill)
		only_kill = strtoull(kill, NULL, 10);
	if (!getenv("FTPFS_CRASH_LOG")) { /* what fails after the end is no news */
		log_to_syslog();
		setlogmask(LOG_MASK(LOG_DEBUG));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_back),
		cmocka_unit_test(test_through),
	};

	read_environment();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
