/* fuse/mount - the FUSE session: made, attached, served, taken down */
#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "request.h"

/* Linux 6.18: since then a direct write drops the kernel's pages of its range before and after it.
 */
enum { PAST_PAGES_MINOR = 45 };

/* Read-ahead requests under way at most: well below the number of threads, so that reads which
 * wait for the network leave threads for everybody else's `ls`. */
enum { BACKGROUND_MAX = 32, THREADS_MAX = 64 };

static void log_libfuse(enum fuse_log_level level, const char *format, va_list args)
{
	char text[1024];

	vsnprintf(text, sizeof(text), format, args);
	text[strcspn(text, "\n")] = '\0';
	if (level <= FUSE_LOG_ERR)
		log_error("%s", text);
	else if (level <= FUSE_LOG_NOTICE)
		log_warn("%s", text);
	else
		log_debug("%s", text);
}

static void want(struct fuse_conn_info *conn, unsigned caps, bool on)
{
	if (on)
		conn->want |= conn->capable & caps;
	else
		conn->want &= ~caps;
}

/* Reads, writes and read-ahead stay at the largest the library and the kernel agree on (1 MiB).
 * Kernel write-back stays off: write(2) must reach the spool, where errors and order are ours to
 * keep.  Setuid bits are the server's business: the kernel goes on asking for their removal by
 * setattr. */
static void op_init(void *userdata, struct fuse_conn_info *conn)
{
	struct mount *m = userdata;

	want(conn,
	     FUSE_CAP_ASYNC_READ | FUSE_CAP_ATOMIC_O_TRUNC | FUSE_CAP_PARALLEL_DIROPS |
		     FUSE_CAP_READDIRPLUS | FUSE_CAP_READDIRPLUS_AUTO | FUSE_CAP_AUTO_INVAL_DATA,
	     true);
	want(conn,
	     FUSE_CAP_WRITEBACK_CACHE | FUSE_CAP_EXPORT_SUPPORT | FUSE_CAP_HANDLE_KILLPRIV |
		     FUSE_CAP_CACHE_SYMLINKS | FUSE_CAP_FLOCK_LOCKS | FUSE_CAP_POSIX_LOCKS,
	     false);
	m->past_pages = conn->proto_minor >= PAST_PAGES_MINOR;
	unsigned background = m->conf.max_threads / 2;
	conn->max_background = background < BACKGROUND_MAX ? background : BACKGROUND_MAX;
	conn->congestion_threshold = conn->max_background * 3 / 4;
	log_debug("kernel protocol %u.%u, writes of %u, read-ahead of %u bytes", conn->proto_major,
		  conn->proto_minor, conn->max_write, conn->max_readahead);
}

static void dropped(void *mount, uint64_t ino)
{
	struct mount *m = mount;

	fs_pages_dropped(m->fs, (struct node *)(uintptr_t)ino);
}

int mount_create(const struct mount_conf *conf, struct fuse_args *args, struct mount **out)
{
	struct fuse_lowlevel_ops ops;
	struct mount *m = calloc(1, sizeof(*m));

	if (!m || (conf->debug && fuse_opt_add_arg(args, "-odebug") != 0)) {
		log_error("out of memory");
		free(m);
		return -ENOMEM;
	}
	m->conf = *conf;
	if (m->conf.max_threads == 0)
		m->conf.max_threads = THREADS_MAX;
	memset(&ops, 0, sizeof(ops));
	ops.init = op_init;
	ops_fill_file(&ops);
	ops_fill_dir(&ops);
	if (conf->xattr)
		ops_fill_xattr(&ops);
	fuse_set_log_func(log_libfuse);
	m->se = fuse_session_new(args, &ops, sizeof(ops), m);
	int rc = m->se ? notify_create(m->se, dropped, m, &m->notify) : -EINVAL;
	if (rc < 0) {
		if (m->se)
			log_error("cannot start a thread: %s", strerror(-rc));
		mount_destroy(m);
		return rc;
	}
	*out = m;
	return 0;
}

void mount_set_fs(struct mount *m, struct fs *fs)
{
	m->fs = fs;
	atomic_store(&m->root, fs_root(fs));
}

int mount_attach(struct mount *m, const char *mountpoint)
{
	if (fuse_set_signal_handlers(m->se) != 0) {
		log_error("cannot set signal handlers");
		return -EINVAL;
	}
	m->handlers = true;
	if (fuse_session_mount(m->se, mountpoint) != 0)
		return -EIO; /* libfuse has said why */
	m->attached = true;
	return 0;
}

static int serve(struct mount *m)
{
	struct fuse_loop_config *config = fuse_loop_cfg_create();

	if (!config)
		return -ENOMEM;
	fuse_loop_cfg_set_max_threads(config, m->conf.max_threads);
	fuse_loop_cfg_set_idle_threads(config, m->conf.max_threads);
	int rc = fuse_session_loop_mt(m->se, config);
	fuse_loop_cfg_destroy(config);
	return rc < 0 ? rc : 0; /* a signal's number is no error */
}

/* The notifier may be waiting inside the kernel for a directory whose lock belongs to a request
 * that nobody serves any more; a thread stuck there would keep the connection, and so itself, alive
 * for ever.  So what comes is answered from here until it is through. */
static void serve_until_quiet(struct mount *m)
{
	struct fuse_buf buf;
	struct pollfd p = {.fd = fuse_session_fd(m->se), .events = POLLIN};

	memset(&buf, 0, sizeof(buf));
	notify_stop(m->notify);
	fuse_session_reset(m->se);
	while (!notify_stopped(m->notify) && !fuse_session_exited(m->se)) {
		if (poll(&p, 1, 20) <= 0)
			continue;
		int n = fuse_session_receive_buf(m->se, &buf);
		if (n == -EINTR || n == -EAGAIN)
			continue;
		if (n <= 0)
			break;
		fuse_session_process_buf(m->se, &buf);
	}
	free(buf.mem);
}

static void detach(struct mount *m)
{
	if (!m->attached)
		return;
	serve_until_quiet(m);
	fuse_session_unmount(m->se);
	m->attached = false;
}

int mount_loop(struct mount *m)
{
	int rc = serve(m);

	if (rc < 0)
		log_error("serving the mount failed: %s", strerror(-rc));
	detach(m);
	return rc;
}

void mount_destroy(struct mount *m)
{
	if (!m)
		return;
	detach(m);
	notify_destroy(m->notify);
	/* Only now: a second SIGTERM must not cut short what fs_destroy() still had to store. */
	if (m->handlers)
		fuse_remove_signal_handlers(m->se);
	if (m->se)
		fuse_session_destroy(m->se);
	free(m);
}

void mount_changed(void *mount, struct node *dir, const char *name)
{
	struct mount *m = mount;

	if (atomic_load(&m->root)) /* before, the kernel knows nothing */
		notify_name(m->notify, mount_ino(m, dir), name);
}

bool mount_growth(void *mount, struct node *n, int64_t from)
{
	struct mount *m = mount;

	return notify_pages(m->notify, mount_ino(m, n), from);
}

const char *mount_library(void)
{
	return fuse_pkgversion();
}
