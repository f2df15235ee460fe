/* kill - the process "ends" before a chosen step. */
#include "kill.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <time.h>

#include "base/lock.h"
#include "fs/disk.h"

enum { DELAY_MAX_NS = 300000 };

static struct mutex lock = MUTEX_INITIALIZER;
static uint64_t steps_left, dice;
static atomic_bool dead; /* also what interrupts the application ... */
static int dead_fd;	 /* ... at once: readable since then */
static pthread_t application;

static uint64_t roll_locked(void)
{
	uint64_t z = dice += UINT64_C(0x9e3779b97f4a7c15);

	z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
	return z ^ z >> 31;
}

enum step { DONE, TORN, LOST };

/* Threads of the filesystem's own are slow at times, so that the application overtakes them. */
static enum step step(void)
{
	bool slow = !pthread_equal(pthread_self(), application);
	enum step how = DONE;
	long delay = 0;

	mutex_lock(&lock);
	if (slow && roll_locked() % 4 == 0)
		delay = (long)(roll_locked() % DELAY_MAX_NS);
	if (atomic_load(&dead)) {
		how = LOST;
	} else if (--steps_left == 0) {
		how = roll_locked() % 2 ? TORN : LOST;
		atomic_store(&dead, true);
		eventfd_write(dead_fd, 1);
	}
	mutex_unlock(&lock);
	if (delay && how == DONE)
		nanosleep(&(struct timespec){.tv_nsec = delay}, NULL);
	return how;
}

static int kill_create(const char *path)
{
	return step() == DONE ? disk_real.create(path) : -EIO;
}

static ssize_t kill_pwrite(int fd, const void *from, size_t n, int64_t at)
{
	enum step how = step();

	if (how == TORN)
		disk_real.pwrite(fd, from, n / 2, at);
	return how == DONE ? disk_real.pwrite(fd, from, n, at) : -EIO;
}

static int kill_ftruncate(int fd, int64_t size)
{
	return step() == DONE ? disk_real.ftruncate(fd, size) : -EIO;
}

static int kill_fdatasync(int fd)
{
	return step() == DONE ? disk_real.fdatasync(fd) : -EIO;
}

static int kill_rename(const char *from, const char *to)
{
	return step() == DONE ? disk_real.rename(from, to) : -EIO;
}

static int kill_unlink(const char *path)
{
	return step() == DONE ? disk_real.unlink(path) : -EIO;
}

static int kill_fsync_dir(const char *path)
{
	return step() == DONE ? disk_real.fsync_dir(path) : -EIO;
}

static const struct disk_ops killing = {
	.create = kill_create,
	.pwrite = kill_pwrite,
	.ftruncate = kill_ftruncate,
	.fdatasync = kill_fdatasync,
	.rename = kill_rename,
	.unlink = kill_unlink,
	.fsync_dir = kill_fsync_dir,
};

static enum fault_kind server_step(void *arg, enum fault_op op)
{
	enum step how = step();

	(void)arg;
	if (how == DONE)
		return FAULT_KINDS;
	return how == TORN && op == FAULT_WRITE ? FAULT_DIE : FAULT_BEFORE;
}

void kill_setup(void)
{
	dead_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (dead_fd < 0)
		abort();
	application = pthread_self();
	disk = &killing;
}

void kill_after(uint64_t steps, uint64_t seed)
{
	mutex_lock(&lock);
	steps_left = steps;
	dice = seed;
	if (atomic_exchange(&dead, false))
		eventfd_read(dead_fd, &(eventfd_t){0});
	mutex_unlock(&lock);
}

bool kill_happened(void)
{
	return atomic_load(&dead);
}

void kill_gate(struct fault_plan *p)
{
	fault_gate(p, server_step, NULL);
}

struct opctx kill_ctx(void)
{
	struct opctx ctx = opctx_for(OPCTX_FOREVER);

	ctx.cancelled = &dead;
	ctx.cancel_fd = dead_fd;
	return ctx;
}
