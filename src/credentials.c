/* credentials - where a password may come from, and how it leaves no trace */
#include "credentials.h"

#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <termios.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/log.h"

enum { FILE_LIMIT = 64 << 10 };

void secret_free(char *secret)
{
	if (secret)
		explicit_bzero(secret, strlen(secret));
	free(secret);
}

bool credentials_in_url(const char *url, const char **from, const char **to)
{
	const char *scheme = strstr(url, "://");
	const char *start = scheme ? scheme + 3 : url;
	const char *at = memrchr(start, '@', strcspn(start, "/"));

	*from = start;
	*to = at;
	return at != NULL;
}

void credentials_scrub(char *url)
{
	const char *from, *to;

	if (!credentials_in_url(url, &from, &to))
		return;
	char *colon = memchr(url + (from - url), ':', (size_t)(to - from));
	if (colon)
		memset(colon + 1, '*', (size_t)(to - colon - 1));
}

char *credentials_from_env(void)
{
	char *value = getenv("FTPFS_PASSWORD");

	if (!value)
		return NULL;
	char *copy = strdup(value);
	/* unsetenv() alone would leave it readable in /proc/PID/environ */
	explicit_bzero(value, strlen(value));
	unsetenv("FTPFS_PASSWORD");
	return copy;
}

int credentials_from_line(int fd, char **password)
{
	char line[PASSWORD_LIMIT + 1];
	size_t n = 0;
	int rc = 0;

	for (;;) {
		char c;
		ssize_t got = read(fd, &c, 1);
		if (got < 0)
			rc = -errno;
		else if (got == 0 && n == 0)
			rc = -ENODATA;
		else if (got == 1 && c != '\n' && n == PASSWORD_LIMIT)
			rc = -EMSGSIZE;
		if (rc < 0 || got == 0 || c == '\n')
			break;
		line[n++] = c;
	}
	if (n > 0 && line[n - 1] == '\r')
		n--;
	if (rc == 0) {
		*password = strndup(line, n);
		rc = *password ? 0 : -ENOMEM;
	}
	explicit_bzero(line, sizeof(line));
	return rc;
}

static int open_private(const char *path)
{
	struct stat st;
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);

	if (fd < 0 || fstat(fd, &st) < 0) {
		int rc = -errno;
		log_error("cannot read the credentials file %s: %s", path, strerror(-rc));
		if (fd >= 0)
			close(fd);
		return rc;
	}
	const char *fault = !S_ISREG(st.st_mode)      ? "is not a regular file"
			    : st.st_uid != geteuid()  ? "belongs to somebody else"
			    : (st.st_mode & 077) != 0 ? "can be read by others: chmod 600 it"
						      : NULL;
	if (!fault)
		return fd;
	log_error("the credentials file %s %s", path, fault);
	close(fd);
	return -EPERM;
}

static int read_all(int fd, struct buf *out)
{
	for (;;) {
		char *room = buf_room(out, 4096);
		if (!room)
			return buf_error(out);
		ssize_t n = read(fd, room, 4096);
		if (n < 0)
			return -errno;
		if (n == 0)
			return 0;
		buf_added(out, (size_t)n);
	}
}

static int keep(char **where, const char *value)
{
	secret_free(*where);
	*where = strdup(value);
	return *where ? 0 : -ENOMEM;
}

/* A password may hold and end with any character but the end of the line, and begin with any unless
 * there is a blank before the equals sign, too. */
static int take_line(char *line, char **user, char **password)
{
	line += strspn(line, " \t");
	line[strcspn(line, "\r")] = '\0';
	if (*line == '\0' || *line == '#' || *line == ';')
		return 0;
	char *equals = strchr(line, '=');
	if (!equals)
		return -EINVAL;
	*equals = '\0';
	size_t n = strcspn(line, " \t");
	char *value = equals + 1;
	if (line[n])
		value += strspn(value, " \t");
	line[n] = '\0';
	if (strcmp(line, "username") == 0 || strcmp(line, "user") == 0)
		return keep(user, value);
	if (strcmp(line, "password") == 0 || strcmp(line, "pass") == 0)
		return keep(password, value);
	return strcmp(line, "domain") == 0 ? 0 : -EINVAL;
}

static int take_lines(char *text, const char *path, char **user, char **password)
{
	for (unsigned number = 1; text; number++) {
		char *line = strsep(&text, "\n");
		int rc = take_line(line, user, password);
		if (rc < 0) {
			log_error("the credentials file %s, line %u: %s", path, number,
				  rc == -EINVAL ? "neither username=, password= nor a # comment"
						: strerror(-rc));
			return rc;
		}
	}
	return 0;
}

int credentials_from_file(const char *path, char **user, char **password)
{
	struct buf text;
	int fd = open_private(path);

	if (fd < 0)
		return fd;
	buf_init(&text, FILE_LIMIT);
	int rc = read_all(fd, &text);
	close(fd);
	if (rc < 0)
		log_error("cannot read the credentials file %s: %s", path, strerror(-rc));
	else if (text.len > 0)
		rc = take_lines(text.data, path, user, password);
	if (text.data)
		explicit_bzero(text.data, text.cap);
	buf_free(&text);
	return rc;
}

bool credentials_netrc_exists(void)
{
	char path[4096];
	const char *home = getenv("HOME");

	if (!home || !*home) {
		const struct passwd *pw = getpwuid(geteuid());
		home = pw ? pw->pw_dir : "/";
	}
	int n = snprintf(path, sizeof(path), "%s/.netrc", home);
	return n > 0 && (size_t)n < sizeof(path) && access(path, R_OK) == 0;
}

static int open_terminal(void)
{
	return open("/dev/tty", O_RDWR | O_NOCTTY | O_CLOEXEC);
}

bool credentials_can_ask(void)
{
	int fd = open_terminal();

	if (fd < 0)
		return false;
	close(fd);
	return true;
}

static void wake_only(int signal)
{
	(void)signal;
}

/* ^C must end the question, but not before the terminal has its echo back. */
static int read_silently(int fd, char **password)
{
	struct termios before, silent;
	struct sigaction wake = {.sa_handler = wake_only}, old_int, old_term;

	if (tcgetattr(fd, &before) < 0)
		return -errno;
	silent = before;
	silent.c_lflag &= ~(tcflag_t)ECHO;
	silent.c_lflag |= ECHONL;
	sigaction(SIGINT, &wake, &old_int);
	sigaction(SIGTERM, &wake, &old_term);
	int rc = tcsetattr(fd, TCSAFLUSH, &silent) < 0 ? -errno
						       : credentials_from_line(fd, password);
	tcsetattr(fd, TCSAFLUSH, &before);
	sigaction(SIGINT, &old_int, NULL);
	sigaction(SIGTERM, &old_term, NULL);
	return rc;
}

int credentials_ask(const char *prompt, char **password)
{
	int fd = open_terminal();

	if (fd < 0)
		return -ENXIO;
	int rc = dprintf(fd, "%s", prompt) < 0 ? -errno : read_silently(fd, password);
	close(fd);
	return rc;
}
