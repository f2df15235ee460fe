/* log - one line per event, to stderr or syslog. */
#include "base/log.h"

#include <ctype.h>
#include <errno.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <syslog.h>

/* A path of PATH_LIMIT bytes and some words fit; what is longer is cut and says so. */
enum { MESSAGE_MAX = 4608, LINE_MAX_BYTES = 2 * MESSAGE_MAX };

static _Atomic int threshold = LOG_LEVEL_WARN;
static atomic_bool use_syslog;

static const int priorities[] = {LOG_ERR, LOG_WARNING, LOG_INFO, LOG_DEBUG};

void log_set_level(enum log_level level)
{
	atomic_store(&threshold, (int)level);
}

void log_to_syslog(void)
{
	openlog("ftpfs", LOG_PID, LOG_DAEMON);
	atomic_store(&use_syslog, true);
}

bool log_on(enum log_level level)
{
	return (int)level <= atomic_load(&threshold);
}

/* Bytes of the well-formed UTF-8 sequence at s that may be shown, or 0: a control (C0, DEL, and C1,
 * whose U+009B starts a terminal's escape sequence) or a stray byte. */
static size_t printable(const unsigned char *s)
{
	size_t n = s[0] < 0x80 ? 1 : s[0] < 0xc2 ? 0 : s[0] < 0xe0 ? 2 : s[0] < 0xf0 ? 3 : 4;

	if (s[0] < 0x20 || s[0] == 0x7f || s[0] > 0xf4 || (s[0] == 0xc2 && s[1] < 0xa0))
		return 0;
	for (size_t i = 1; i < n; i++)
		if ((s[i] & 0xc0) != 0x80)
			return 0;
	return n;
}

static void escape(const char *from, char *to, size_t size)
{
	static const char digits[] = "0123456789abcdef";
	const unsigned char *s = (const unsigned char *)from;
	size_t used = 0;

	while (*s && used + 8 < size) {
		size_t n = printable(s);

		if (n) {
			memcpy(to + used, s, n);
			used += n;
			s += n;
			continue;
		}
		to[used++] = '\\';
		to[used++] = 'x';
		to[used++] = digits[*s >> 4];
		to[used++] = digits[*s++ & 15];
	}
	strcpy(to + used, *s ? "..." : "");
}

static void put(enum log_level level, const char *message)
{
	char line[LINE_MAX_BYTES];

	escape(message, line, sizeof(line));
	if (atomic_load(&use_syslog))
		syslog(priorities[level], "%s", line);
	else
		fprintf(stderr, "ftpfs: %s\n", line); /* one call: stdio's lock keeps lines whole */
}

__attribute__((format(printf, 2, 0))) static void vlog(enum log_level level, const char *format,
						       va_list args)
{
	char message[MESSAGE_MAX];
	int saved = errno; /* so that a call to log may stand before the use of errno */
	int n;

	if (!log_on(level))
		return;
	n = vsnprintf(message, sizeof(message), format, args);
	if (n >= (int)sizeof(message))
		strcpy(message + sizeof(message) - 4, "...");
	if (n >= 0)
		put(level, message);
	errno = saved;
}

#define DEFINE_LOG(name, level)                                                                    \
	void name(const char *format, ...)                                                         \
	{                                                                                          \
		va_list args;                                                                      \
                                                                                                   \
		va_start(args, format);                                                            \
		vlog(level, format, args);                                                         \
		va_end(args);                                                                      \
	}

DEFINE_LOG(log_error, LOG_LEVEL_ERROR)
DEFINE_LOG(log_warn, LOG_LEVEL_WARN)
DEFINE_LOG(log_info, LOG_LEVEL_INFO)
DEFINE_LOG(log_debug, LOG_LEVEL_DEBUG)

static bool is_secret(const char *command)
{
	return (strncasecmp(command, "PASS", 4) == 0 || strncasecmp(command, "ACCT", 4) == 0) &&
	       !isalnum((unsigned char)command[4]);
}

void log_command(unsigned id, char direction, const char *line)
{
	int n;

	if (!log_on(LOG_LEVEL_DEBUG))
		return;
	if (direction == '>' && is_secret(line + strspn(line, " \t"))) {
		log_debug("[%u] %c %.4s ****", id, direction, line + strspn(line, " \t"));
		return;
	}
	n = (int)strcspn(line, "\r\n");
	/* Anything behind the first line end is not one FTP line: show that it is there. */
	if (line[n + (int)strspn(line + n, "\r\n")] != '\0')
		n = (int)strnlen(line, MESSAGE_MAX);
	log_debug("[%u] %c %.*s", id, direction, n, line);
}
