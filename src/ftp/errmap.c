/* ftp/errmap - a server's refusal -> errno */
#include "ftp/errmap.h"

#include <ctype.h>
#include <errno.h>
#include <string.h>

enum { TEXT_MAX = 10240 }; /* the echoed path and the words behind it */

struct phrase {
	const char *text; /* lower case */
	int error;
};

/* In this order: "Directory not empty" holds "directory", "Not a directory" is not "Is a
 * directory". */
static const struct phrase PHRASES[] = {
	{"no space left", ENOSPC},
	{"enospc", ENOSPC},
	{"disk full", ENOSPC},
	/* vsftpd and Pure-FTPd name no reason for a failed write: that is what a full disk looks
	   like. */
	{"writing to local ", ENOSPC},
	{"error during write", ENOSPC},
	{"quota", EDQUOT},
	{"not empty", ENOTEMPTY},
	{"enotempty", ENOTEMPTY},
	{"not a directory", ENOTDIR},
	{"enotdir", ENOTDIR},
	{"not a valid directory", ENOTDIR},
	{"is a directory", EISDIR},
	{"not a regular", EISDIR},
	{"not a plain", EISDIR},
	{"regular files", EISDIR},
	{"not a file", EISDIR},
	{"cannot read a directory", EISDIR},
	{"eisdir", EISDIR},
	{"file exists", EEXIST},
	{"already exists", EEXIST},
	{"eexist", EEXIST},
	{"name too long", ENAMETOOLONG},
	{"enametoolong", ENAMETOOLONG},
	{"cross-device", EXDEV},
	{"exdev", EXDEV},
	{"too many levels", ELOOP},
	{"eloop", ELOOP},
	{"read-only file", EROFS},
	{"not permitted", EPERM},
	{"eperm", EPERM},
	{"permission denied", EACCES},
	{"not enough privileges", EACCES},
	{"eacces", EACCES},
	{"prohibited", EACCES},
	{"no such", ENOENT},
	{"enoent", ENOENT},
	{"does not exist", ENOENT},
	{"doesn't exist", ENOENT},
	{"does not exists", ENOENT},
	{"cannot be listed", ENOENT},
	{"check for file existence", ENOENT},
	{"path unreachable", ENOENT},
	{"not retrievable", ENOENT},
	{"invalid argument", EINVAL},
};

static const char *const TOO_MANY[] = {
	"too many",	  "maximum number", "connection limit",	 "already connected",
	"already logged", "too busy",	    "number of connect", "no more connections",
};

static void lower(char *out, size_t size, const char *text)
{
	size_t i = 0;

	for (; text[i] && i < size - 1; i++)
		out[i] = (char)tolower((unsigned char)text[i]);
	out[i] = '\0';
}

static void remove_all(char *text, const char *part)
{
	size_t n = strlen(part);

	for (char *at; n > 0 && (at = strstr(text, part));)
		memmove(at, at + n, strlen(at + n) + 1);
}

static void remove_path(char *text, const char *path)
{
	char low[TEXT_MAX];

	lower(low, sizeof low, path);
	remove_all(text, low);
	const char *name = strrchr(low, '/');
	/* A name of a letter or two occurs inside ordinary words. */
	if (name && strlen(name + 1) > 2)
		remove_all(text, name + 1);
}

/* Codes that say something by themselves (RFC 959 section 4.2). */
static int by_code(int code)
{
	switch (code) {
	case 452:
		return -ENOSPC;
	case 552:
		return -EDQUOT;
	case 500:
	case 502:
	case 504:
		return -EOPNOTSUPP;
	case 521:
		return -EEXIST;
	case 421:
		return -ECONNRESET;
	case 425:
	case 426:
		return -ECONNRESET;
	default:
		return ERRMAP_MUTE;
	}
}

/* "Invalid argument" from unlink(2) of a directory, "not a plain file" from SIZE of nothing. */
static int by_verb(enum verb verb, int error)
{
	if (verb == VERB_DELE && error == EINVAL)
		return -EISDIR;
	if ((verb == VERB_SIZE || verb == VERB_MLST) && error == EISDIR)
		return ERRMAP_MUTE;
	return -error;
}

int errmap(enum verb verb, int code, const char *text, const char *path)
{
	char low[TEXT_MAX];

	lower(low, sizeof low, text);
	if (path)
		remove_path(low, path);
	int coded = by_code(code);
	for (size_t i = 0; i < sizeof PHRASES / sizeof PHRASES[0]; i++)
		if (strstr(low, PHRASES[i].text))
			return coded == -EOPNOTSUPP ? coded : by_verb(verb, PHRASES[i].error);
	if (coded != ERRMAP_MUTE)
		return coded;
	/* pyftpdlib: MLSD of what is not a directory; others: SITE and OPTS they do not know. */
	if (code == 501 && verb != VERB_LIST)
		return verb == VERB_SITE || verb == VERB_CHMOD || verb == VERB_MTIME ? -EOPNOTSUPP
										     : -EINVAL;
	if (code == 530)
		return -EACCES;
	return ERRMAP_MUTE;
}

bool errmap_farewell(int code, const char *text)
{
	return code == 421 || (code == 500 && strncmp(text, "OOPS: ", 6) == 0);
}

bool errmap_too_many(const char *text)
{
	char low[TEXT_MAX];

	lower(low, sizeof low, text);
	for (size_t i = 0; i < sizeof TOO_MANY / sizeof TOO_MANY[0]; i++)
		if (strstr(low, TOO_MANY[i]))
			return true;
	return false;
}
