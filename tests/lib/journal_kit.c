/* journal_kit - a cache directory of a test, and promises in short. */
#include "journal_kit.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "remote.h"

char kit_cache[64];
const char *const kit_target = "ftp://somebody@example.org:2121/srv/Shared files";

int kit_make_cache(void **unused)
{
	(void)unused;
	log_set_level(getenv("FTPFS_JOURNAL_LOG") ? LOG_LEVEL_DEBUG : (enum log_level)(-1));
	snprintf(kit_cache, sizeof kit_cache, "%s/ftpfs-journal-XXXXXX",
		 access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
	return mkdtemp(kit_cache) ? 0 : -1;
}

int kit_remove_cache(void **unused)
{
	char command[100];

	(void)unused;
	snprintf(command, sizeof command, "rm -rf %s", kit_cache);
	return system(command);
}

/* Each test begins with nothing. */
int kit_empty_cache(void **unused)
{
	char command[100];

	(void)unused;
	snprintf(command, sizeof command, "rm -rf %s/*", kit_cache);
	return system(command);
}

struct journal *kit_reopen(struct journal *j)
{
	journal_close(j);
	assert_int_equal(journal_open(kit_cache, kit_target, &j, NULL), 0);
	return j;
}

/* A path in the target's directory; static, four at a time. */
const char *kit_in_dir(const struct journal *j, const char *name)
{
	static char paths[4][400];
	static int next;
	char *path = paths[next++ % 4];

	snprintf(path, sizeof paths[0], "%s/%s", journal_dir(j), name);
	return path;
}

const char *kit_spool_path(const struct journal *j, uint64_t id)
{
	char name[SPOOL_NAME_SIZE];

	spool_name(id, name);
	return kit_in_dir(j, name);
}

void kit_touch(const char *path)
{
	int fd = open(path, O_CREAT | O_WRONLY, 0600);

	assert_true(fd >= 0);
	close(fd);
}

/* A promise of a path, with a spool of its own and one range of `size` bytes. */
struct promise kit_simple(struct journal *j, uint64_t id, const char *path, int64_t size)
{
	struct promise p = {.id = id, .size = size, .whole = true, .server_size = -1};

	p.path = strdup(path);
	p.server_mtime = p.mtime = REMOTE_KEEP_MTIME;
	p.mode = REMOTE_KEEP_MODE;
	extents_add(&p.dirty, 0, size);
	kit_touch(kit_spool_path(j, id));
	return p;
}

int kit_promise(struct journal *j, uint64_t id, const char *path, int64_t size, bool durable)
{
	struct promise p = kit_simple(j, id, path, size);
	int rc = journal_promise(j, &p, durable);

	promise_clear(&p);
	return rc;
}

int64_t kit_file_size(const char *path)
{
	struct stat st;

	assert_int_equal(stat(path, &st), 0);
	return st.st_size;
}

/* What is owed, as "path:size path:size", oldest first; static. */
const char *kit_owed(struct journal *j)
{
	static char text[8192];
	struct promise *all;
	size_t n, used = 0;

	assert_int_equal(journal_owed(j, &all, &n), 0);
	assert_int_equal(n, journal_count(j));
	text[0] = '\0';
	for (size_t i = 0; i < n; i++) {
		used += (size_t)snprintf(text + used, sizeof text - used, "%s%s:%lld", i ? " " : "",
					 all[i].path, (long long)all[i].size);
		assert_true(used < sizeof text);
		promise_clear(&all[i]);
	}
	free(all);
	return text;
}

int kit_count_files(const struct journal *j, const char *prefix)
{
	DIR *dir = opendir(journal_dir(j));
	struct dirent *d;
	int n = 0;

	assert_non_null(dir);
	while ((d = readdir(dir)))
		n += strncmp(d->d_name, prefix, strlen(prefix)) == 0;
	closedir(dir);
	return n;
}

char *kit_read_file(const char *path, size_t *n)
{
	int fd = open(path, O_RDONLY);
	char *bytes;

	assert_true(fd >= 0);
	*n = (size_t)kit_file_size(path);
	bytes = malloc(*n + 1);
	assert_int_equal(read(fd, bytes, *n), *n);
	close(fd);
	return bytes;
}

void kit_write_file(const char *path, const char *bytes, size_t n)
{
	int fd = open(path, O_CREAT | O_WRONLY | O_TRUNC, 0600);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, bytes, n), n);
	close(fd);
}
