/* startup - the mount point, the spool directory, and the way into the background */
#include "startup.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/log.h"
#include "base/path.h"

static int bad_mountpoint(const char *path, int error)
{
	if (error == ENOTCONN)
		log_error("%s: a dead mount is still there: fusermount3 -u %s removes it", path,
			  path);
	else if (error == ENOENT)
		log_error("mount point %s does not exist: mkdir %s makes it", path, path);
	else if (error == ENOTDIR)
		log_error("mount point %s is not a directory", path);
	else if (error == EBUSY)
		log_error("something is mounted on %s already: fusermount3 -u %s removes it", path,
			  path);
	else if (error == ENOTEMPTY)
		log_error("mount point %s is not empty, and a mount would hide what is there: "
			  "mount on an empty directory",
			  path);
	else
		log_error("cannot mount on %s: %s", path, strerror(error));
	return EXIT_MOUNTPOINT;
}

static bool is_dot(const char *name)
{
	return strcmp(name, ".") == 0 || strcmp(name, "..") == 0;
}

/* 0, or an errno. */
static int check_empty(const char *path)
{
	DIR *d = opendir(path);

	if (!d)
		return errno;
	errno = 0;
	struct dirent *e = readdir(d);
	while (e && is_dot(e->d_name))
		e = readdir(d);
	int error = e ? ENOTEMPTY : errno;
	closedir(d);
	return error;
}

static bool is_mounted(const char *path, const struct stat *st)
{
	struct stat above;
	struct buf parent;

	buf_init(&parent, PATH_LIMIT + 4);
	bool differs = buf_addf(&parent, "%s/..", path) == 0 &&
		       stat(buf_text(&parent), &above) == 0 && above.st_dev != st->st_dev;
	buf_free(&parent);
	return differs;
}

int startup_mountpoint(const char *path, char **out)
{
	struct stat st;

	if (stat(path, &st) < 0)
		return bad_mountpoint(path, errno);
	if (!S_ISDIR(st.st_mode))
		return bad_mountpoint(path, ENOTDIR);
	int error = check_empty(path);
	if (error == ENOTEMPTY && is_mounted(path, &st))
		error = EBUSY;
	if (error)
		return bad_mountpoint(path, error);
	*out = realpath(path, NULL);
	return *out ? EXIT_OK : bad_mountpoint(path, errno);
}

/* Root's is the machine's, whatever environment sudo has left. */
static int default_cache_dir(struct buf *out)
{
	const char *cache = getenv("XDG_CACHE_HOME"), *home = getenv("HOME");

	if (geteuid() == 0)
		return buf_adds(out, "/var/cache/ftpfs");
	if (cache && *cache == '/')
		return buf_addf(out, "%s/ftpfs", cache);
	if (!home || *home != '/') {
		const struct passwd *pw = getpwuid(geteuid());
		home = pw ? pw->pw_dir : NULL;
	}
	return home ? buf_addf(out, "%s/.cache/ftpfs", home) : -ENOENT;
}

/* path and what is missing above it; 0 or -errno. */
static int make_dirs(char *path)
{
	for (char *slash = strchr(path + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
		*slash = '\0';
		int rc = mkdir(path, 0700) < 0 && errno != EEXIST ? -errno : 0;
		*slash = '/';
		/* A parent that exists may lie where nothing can be made (-EROFS, -EACCES). */
		if (rc < 0 && rc != -EROFS && rc != -EACCES)
			return rc;
	}
	return mkdir(path, 0700) < 0 && errno != EEXIST ? -errno : 0;
}

static const char *not_private(const char *path)
{
	struct stat st;

	if (lstat(path, &st) < 0)
		return strerror(errno);
	if (!S_ISDIR(st.st_mode))
		return "is not a directory";
	if (st.st_uid != geteuid())
		return "belongs to somebody else";
	if (st.st_mode & 077)
		return "is open to others: chmod 700 it";
	return access(path, W_OK | X_OK) == 0 ? NULL : strerror(errno);
}

int startup_cache_dir(const char *cache_dir, char **out)
{
	struct buf path;

	buf_init(&path, PATH_LIMIT + 1);
	int rc = cache_dir ? buf_adds(&path, cache_dir) : default_cache_dir(&path);
	if (rc == 0)
		rc = make_dirs(path.data);
	const char *fault = rc < 0 ? strerror(-rc) : not_private(path.data);
	if (!fault) {
		*out = realpath(path.data, NULL);
		fault = *out ? NULL : strerror(errno);
	}
	if (fault)
		log_error("the directory for written files, %s: %s (cache_dir=DIR names another)",
			  buf_text(&path), fault);
	buf_free(&path);
	return fault ? EXIT_USAGE : EXIT_OK;
}

void startup_raise_limits(void)
{
	struct rlimit files;

	if (getrlimit(RLIMIT_NOFILE, &files) == 0 && files.rlim_cur < files.rlim_max) {
		files.rlim_cur = files.rlim_max;
		setrlimit(RLIMIT_NOFILE, &files);
	}
}

static int wait_for_report(int fd, pid_t child)
{
	unsigned char code;
	int status = 0;
	ssize_t n;

	do {
		n = read(fd, &code, 1);
	} while (n < 0 && errno == EINTR);
	close(fd);
	if (n == 1)
		return code;
	while (waitpid(child, &status, 0) < 0 && errno == EINTR)
		continue;
	if (WIFSIGNALED(status))
		log_error("the background process died: %s", strsignal(WTERMSIG(status)));
	else
		log_error("the background process ended without a word");
	return EXIT_INTERNAL;
}

bool background_enter(struct background *b, bool foreground, int *code)
{
	int ends[2];

	b->report = -1;
	if (foreground)
		return true;
	pid_t child = pipe2(ends, O_CLOEXEC) < 0 ? -1 : fork();
	if (child < 0) {
		log_error("cannot go to the background: %s", strerror(errno));
		*code = EXIT_INTERNAL;
		return false;
	}
	if (child == 0) {
		close(ends[0]);
		b->report = ends[1];
		return true;
	}
	close(ends[1]);
	*code = wait_for_report(ends[0], child);
	return false;
}

static void report(struct background *b, int code)
{
	unsigned char byte = (unsigned char)code;

	/* A parent that was killed meanwhile hears nothing; the mount stands all the same. */
	if (write(b->report, &byte, 1) < 0)
		log_debug("nobody waits for the start to finish");
	close(b->report);
	b->report = -1;
}

/* Not before the mount stands: until then ^C on the terminal must reach us, questions are asked
 * there, and an automounter tells its own children by their process group. */
void background_ready(struct background *b)
{
	if (b->report < 0)
		return;
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);
	log_to_syslog();
	setsid();
	if (chdir("/") < 0)
		log_warn("cannot leave the current directory: %s", strerror(errno));
	for (int fd = 0; null >= 0 && fd < 3; fd++)
		dup2(null, fd);
	if (null > 2)
		close(null);
	report(b, EXIT_OK);
}

void background_failed(struct background *b, int code)
{
	if (b->report >= 0)
		report(b, code);
}

void startup_announce_helper(const char *source, const char *mountpoint)
{
	int status = 0;

	if (geteuid() != 0)
		return;
	pid_t child = fork();
	if (child == 0) {
		int null = open("/dev/null", O_RDWR);

		for (int fd = 0; null >= 0 && fd < 3; fd++)
			dup2(null, fd);
		/* Mounts nothing (-f), calls no helper (-i): writes the table. */
		execlp("mount", "mount", "--no-canonicalize", "-i", "-f", "-t", "fuse.ftpfs", "-o",
		       "uhelper=fuse.ftpfs", source, mountpoint, NULL);
		_exit(127);
	}
	while (child > 0 && waitpid(child, &status, 0) < 0 && errno == EINTR)
		continue;
	if (child < 0 || status != 0)
		log_info("umount(8) will not wait for the server: ftpfs --sync %s does",
			 mountpoint);
}
