/* sync - waiting for a mount to have stored everything, from outside */
#include "sync.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/lock.h"
#include "base/log.h"
#include "fuse/control.h"
#include "options.h"

#define UMOUNT_NAME "umount.fuse.ftpfs"

enum { WORDS_MAX = 32 };

struct wait {
	int fd; /* the mount's root */
	bool tty;
	struct mutex lock;
	struct cond ended;
	bool over GUARDED_BY(lock);
	int error GUARDED_BY(lock);
};

static void *wait_for_server(void *arg)
{
	struct wait *w = arg;
	int rc = fsync(w->fd) == 0 ? 0 : -errno;

	mutex_lock(&w->lock);
	w->over = true;
	w->error = rc;
	cond_broadcast(&w->ended);
	mutex_unlock(&w->lock);
	return NULL;
}

static void show_progress(const struct wait *w)
{
	struct ftpfs_owing o;

	if (!w->tty || ioctl(w->fd, FTPFS_IOC_OWING, &o) != 0 || o.files == 0)
		return;
	fprintf(stderr, "\rftpfs: %" PRIu64 " files, %.1f MB to go \033[K", o.files,
		(double)o.bytes / 1e6);
}

/* 0, -ETIMEDOUT, or why something is not stored. */
static int await(struct wait *w, int64_t seconds)
{
	int64_t end = seconds ? clock_monotonic() + seconds * NS_PER_S : INT64_MAX;
	int rc;

	mutex_lock(&w->lock);
	while (!w->over && clock_monotonic() < end) {
		cond_wait_until(&w->ended, &w->lock, clock_monotonic() + NS_PER_S / 5);
		mutex_unlock(&w->lock);
		show_progress(w);
		mutex_lock(&w->lock);
	}
	rc = w->over ? w->error : -ETIMEDOUT;
	mutex_unlock(&w->lock);
	if (w->tty)
		fputs("\r\033[K", stderr);
	return rc;
}

static int judge(const char *mountpoint, int fd, int rc)
{
	struct ftpfs_owing o;

	if (rc == 0)
		return EXIT_OK;
	if (ioctl(fd, FTPFS_IOC_OWING, &o) != 0)
		o.files = 0;
	log_error("%s: %" PRIu64 " files are not on the server yet (%s): they are kept, and stored "
		  "by this mount or the next one",
		  mountpoint, o.files, strerror(-rc));
	return EXIT_NOT_STORED;
}

static int open_mount(const char *mountpoint, struct ftpfs_owing *o)
{
	int fd = open(mountpoint, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd >= 0 && ioctl(fd, FTPFS_IOC_OWING, o) == 0)
		return fd;
	log_error("%s is not a mount of ftpfs%s%s", mountpoint, fd < 0 ? ": " : "",
		  fd < 0 ? strerror(errno) : "");
	if (fd >= 0)
		close(fd);
	return -1;
}

/* The thread that waits is left behind when the time is over: the process ends with it. */
static int wait_for_mount(const char *mountpoint, bool bounded)
{
	static struct wait w;
	struct ftpfs_owing o;
	pthread_t thread;

	w.fd = open_mount(mountpoint, &o);
	if (w.fd < 0)
		return EXIT_MOUNTPOINT;
	w.tty = isatty(STDERR_FILENO);
	mutex_init(&w.lock);
	cond_init(&w.ended);
	int rc = -pthread_create(&thread, NULL, wait_for_server, &w);
	if (rc == 0) {
		rc = await(&w, bounded ? o.umount_wait : 0);
		if (rc == -ETIMEDOUT)
			pthread_detach(thread);
		else
			pthread_join(thread, NULL);
	}
	int code = judge(mountpoint, w.fd, rc);
	close(w.fd);
	return code;
}

int sync_mount(const char *mountpoint)
{
	return wait_for_mount(mountpoint, false);
}

bool sync_is_umount(const char *argv0)
{
	const char *slash = strrchr(argv0, '/');

	return strcmp(slash ? slash + 1 : argv0, UMOUNT_NAME) == 0;
}

/* -i: or umount(8) would call us again. */
static int umount_rest(int argc, char **argv)
{
	char *words[WORDS_MAX] = {(char *)"umount", (char *)"-i"};
	int n = 2, status;

	for (int i = 1; i < argc && n + 1 < WORDS_MAX; i++)
		words[n++] = argv[i];
	pid_t child = fork();
	if (child == 0) {
		execvp(words[0], words);
		_exit(127);
	}
	if (child < 0 || waitpid(child, &status, 0) < 0 || !WIFEXITED(status))
		return EXIT_INTERNAL;
	return WEXITSTATUS(status);
}

int sync_umount(int argc, char **argv)
{
	const char *mountpoint = NULL;
	bool now = false;

	for (int i = 1; i < argc; i++) {
		if (argv[i][0] != '-')
			mountpoint = mountpoint ? mountpoint : argv[i];
		else
			now |= strpbrk(argv[i], "fl") != NULL;
	}
	if (!mountpoint) {
		log_error("no mount point given (umount calls this program)");
		return EXIT_USAGE;
	}
	int code = now ? EXIT_OK : wait_for_mount(mountpoint, true);
	int rest = umount_rest(argc, argv);
	return rest ? rest : code;
}
