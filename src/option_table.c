/* option_table - every option: its name, its value, its line in the usage; reads argv by it */
#include "option_table.h"

#include <errno.h>
#include <fuse_opt.h>
#include <limits.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "credentials.h"
#include "values.h"

enum kind {
	TEXT,
	NAME_OR_FLAG, /* user=NAME, but `user` alone is mount(8)'s */
	SECONDS,
	SECONDS_NOT_0,
	SIZE,
	CONNS,
	UMASK,
	UID,
	GID,
	CHOICE,
	SET,
	CLEAR,
	PASS, /* libfuse's */
	DROP, /* for mount(8) and fstab alone */
};

struct option {
	const char *name;
	enum kind kind;
	size_t offset;	  /* of the field in struct parse */
	const char *arg;  /* what follows '='; for CHOICE the words.  NULL: nothing */
	const char *help; /* NULL: not in the usage */
};

#define AT(field) offsetof(struct parse, field)

static const struct option table[] = {
	{"username", TEXT, AT(o.ftp.login.user), "NAME",
	 "log in as NAME (the URL's, or anonymous)"},
	{"user", NAME_OR_FLAG, AT(o.ftp.login.user), "NAME", "the same as username="},
	{"account", TEXT, AT(o.ftp.login.account), "TEXT",
	 "answer to a server that asks for an account"},
	{"password_stdin", SET, AT(password_stdin), NULL, "read the password from standard input"},
	{"credentials", TEXT, AT(credentials), "FILE", "username= and password= lines; mode 600"},
	{"tls", CHOICE, AT(tls), "off|try|require", "encryption (off; require for ftps://)"},
	{"cacert", TEXT, AT(o.ftp.login.cacert), "FILE",
	 "trust the certificates in FILE (the system's)"},
	{"insecure", SET, AT(o.ftp.login.insecure), NULL, "accept any certificate"},
	{"max_conns", CONNS, AT(o.ftp.max_conns), "N", "connections at most, 1 to 64 (8)"},
	{"active", CHOICE, AT(active), "auto|on|off",
	 "may the server open data connections (auto: if seen to work)"},
	{"dcache_timeout", SECONDS, AT(o.fs.dcache_timeout), "S",
	 "seconds a listing is believed (20)"},
	{"connect_timeout", SECONDS_NOT_0, AT(o.ftp.login.connect_timeout), "S",
	 "seconds to connect and log in (15)"},
	{"timeout", SECONDS_NOT_0, AT(o.ftp.login.timeout), "S",
	 "seconds without progress before an error (30)"},
	{"cache_dir", TEXT, AT(o.cache_dir), "DIR",
	 "where written files wait (~/.cache/ftpfs; root: /var/cache/ftpfs)"},
	{"write", CHOICE, AT(write), "through|back",
	 "close waits for the server, or for the local disk only (through)"},
	{"cache_size", SIZE, AT(o.fs.cache_size), "SIZE",
	 "with write=back: bytes that may wait (no limit)"},
	{"umount_wait", SECONDS, AT(o.fs.umount_wait), "S",
	 "with write=back: seconds that unmounting waits at most (no limit)"},
	{"inplace", CHOICE, AT(inplace), "auto|on|off",
	 "write a change into the server's file itself (auto: a small one in a big file)"},
	{"atomic", CHOICE, AT(atomic), "auto|on|off",
	 "put content in its place as a whole, by a rename (auto: what replaces something)"},
	{"verify", CHOICE, AT(verify), "size|hash",
	 "what proves that the server has a file (size)"},
	{"xattr", CHOICE, AT(xattr), "off|on",
	 "show user.ftpfs.* attributes; slows small writes down (off)"},
	{"direct_io", SET, AT(o.mount.direct_io), NULL,
	 "nothing through the kernel's pages: big files once, no shared mappings"},
	{"chown", CHOICE, AT(chown), "ignore|error", "what chown to somebody else does (ignore)"},
	{"ro", SET, AT(o.fs.read_only), NULL, "read-only"},
	{"rw", CLEAR, AT(o.fs.read_only), NULL, NULL},
	{"uid", UID, AT(uid), "USER", "owner of everything (you)"},
	{"gid", GID, AT(gid), "GROUP", "group of everything (yours)"},
	{"umask", UMASK, AT(umask), "OCTAL", "permissions taken off everything (none)"},
	{"log", CHOICE, AT(log), "error|warn|info|debug", "what is logged (warn)"},
	{"prefetch", CHOICE, AT(prefetch_off), "on|off",
	 "look ahead: listings and small files (on)"},
	{"prefetch_size", SIZE, AT(prefetch_size), "SIZE", "memory for looking ahead (32M)"},
	{"allow_other", PASS, 0, NULL, "other users may use the mount"},
	{"default_permissions", PASS, 0, NULL, "the kernel checks the permissions shown"},
	{"allow_root", PASS, 0, NULL, "root may use the mount"},
	{"auto_unmount", PASS, 0, NULL, "unmount when the program dies"},
	{"debug", SET, AT(o.mount.debug), NULL, NULL},
	{"fsname", PASS, 0, "TEXT", NULL},
	{"subtype", PASS, 0, "TEXT", NULL},
	{"context", PASS, 0, "TEXT", NULL},
	{"fscontext", PASS, 0, "TEXT", NULL},
	{"defcontext", PASS, 0, "TEXT", NULL},
	{"rootcontext", PASS, 0, "TEXT", NULL},
	{"nodev", PASS, 0, NULL, NULL},
	{"nosuid", PASS, 0, NULL, NULL},
	{"exec", PASS, 0, NULL, NULL},
	{"noexec", PASS, 0, NULL, NULL},
	{"sync", PASS, 0, NULL, NULL},
	{"async", PASS, 0, NULL, NULL},
	{"dirsync", PASS, 0, NULL, NULL},
	{"atime", PASS, 0, NULL, NULL},
	{"noatime", PASS, 0, NULL, NULL},
	/* mount.fuse adds these two to every mount by root, so that they say nothing about what
	 * anybody wants; a set-uid file that a server shows as root's must not run as root. */
	{"dev", DROP, 0, NULL, NULL},
	{"suid", DROP, 0, NULL, NULL},
	{"diratime", DROP, 0, NULL, NULL},
	{"nodiratime", DROP, 0, NULL, NULL},
	{"relatime", DROP, 0, NULL, NULL},
	{"norelatime", DROP, 0, NULL, NULL},
	{"strictatime", DROP, 0, NULL, NULL},
	{"nostrictatime", DROP, 0, NULL, NULL},
	{"lazytime", DROP, 0, NULL, NULL},
	{"nolazytime", DROP, 0, NULL, NULL},
	{"auto", DROP, 0, NULL, NULL},
	{"noauto", DROP, 0, NULL, NULL},
	{"defaults", DROP, 0, NULL, NULL},
	{"nouser", DROP, 0, NULL, NULL},
	{"users", DROP, 0, NULL, NULL},
	{"nousers", DROP, 0, NULL, NULL},
	{"owner", DROP, 0, NULL, NULL},
	{"group", DROP, 0, NULL, NULL},
	{"nofail", DROP, 0, NULL, NULL},
	{"_netdev", DROP, 0, NULL, NULL},
	{"comment", DROP, 0, "TEXT", NULL},
};

/* What other tools call it. */
static const struct {
	const char *name, *advice;
} elsewhere[] = {
	{"remount", "a mount stays as it is: unmount it, and mount it anew"},
	{"ssl", "use tls=require"},
	{"ssl_control", "use tls=require"},
	{"ssl_try", "use tls=try"},
	{"no_verify_peer", "use insecure"},
	{"no_verify_hostname", "use insecure"},
	{"reconnect", "leave it out, that is always done"},
	{"cache", "use dcache_timeout=SECONDS, 0 for none"},
	{"cache_timeout", "use dcache_timeout=SECONDS"},
	{"attr_timeout", "use dcache_timeout=SECONDS"},
	{"entry_timeout", "use dcache_timeout=SECONDS"},
	{"utf8", "leave it out, UTF-8 is asked for and names stay as the server has them"},
	{"codepage", "names stay as the server has them"},
	{"iocharset", "names stay as the server has them"},
	{"nonempty", "mount on an empty directory"},
	{"kernel_cache", "leave it out, pages are kept as long as the file is the same"},
	{"auto_cache", "leave it out, pages are kept as long as the file is the same"},
	{"max_read", "leave it out, the kernel's limit is used"},
	{"big_writes", "leave it out, the kernel's limit is used"},
	{"port", "put it into the URL: ftp://host:PORT/dir"},
};

enum { TABLE = sizeof(table) / sizeof(table[0]) };

int usage_error(const char *format, ...)
{
	char text[600];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	log_error("%s", text);
	return EXIT_USAGE;
}

int no_memory(void)
{
	log_error("out of memory");
	return EXIT_INTERNAL;
}

static int unknown_option(const char *name)
{
	const char *best = NULL;
	unsigned nearest = UINT_MAX;

	for (size_t i = 0; i < sizeof elsewhere / sizeof elsewhere[0]; i++)
		if (strcmp(name, elsewhere[i].name) == 0)
			return usage_error("unknown option '%s': %s", name, elsewhere[i].advice);
	for (size_t i = 0; i < TABLE; i++) {
		unsigned d = word_distance(name, table[i].name);
		if (d < nearest) {
			nearest = d;
			best = table[i].name;
		}
	}
	if (best && nearest <= 2 + strlen(name) / 5 && nearest < strlen(name))
		return usage_error("unknown option '%s': did you mean '%s'?", name, best);
	return usage_error("unknown option '%s' (ftpfs -h lists them all)", name);
}

static int add_fuse_opt(struct parse *p, const char *opt)
{
	return fuse_opt_add_opt_escaped(&p->fuse_opts, opt) == 0 ? EXIT_OK : no_memory();
}

static int set_text(char **field, const char *value)
{
	free(*field);
	*field = strdup(value);
	return *field ? EXIT_OK : no_memory();
}

static int set_number(void *field, enum kind kind, const char *value)
{
	uint64_t n;
	int rc;

	switch (kind) {
	case SECONDS:
		return value_seconds(value, field);
	case SECONDS_NOT_0:
		rc = value_seconds(value, field);
		return rc == 0 && *(int64_t *)field == 0 ? -EINVAL : rc;
	case SIZE:
		return value_size(value, field);
	case UMASK:
		return value_umask(value, field);
	case UID:
		return value_uid(value, field);
	case GID:
		return value_gid(value, field);
	default:
		rc = value_number(value, 1, 64, &n);
		if (rc == 0)
			*(unsigned *)field = (unsigned)n;
		return rc;
	}
}

static const char *kind_of_value(const struct option *opt)
{
	static const char *const names[] = {
		[SECONDS] = "a whole number of seconds",
		[SECONDS_NOT_0] = "a whole number of seconds, 1 or more",
		[SIZE] = "a size like 500k, 32M or 1G",
		[CONNS] = "a number from 1 to 64",
		[UMASK] = "an octal number like 022",
		[UID] = "a user's number or name",
		[GID] = "a group's number or name",
	};

	return opt->kind == CHOICE ? opt->arg : names[opt->kind];
}

static int set_value(struct parse *p, const struct option *opt, const char *value)
{
	void *field = (char *)p + opt->offset;
	int rc;

	if (opt->kind == TEXT || opt->kind == NAME_OR_FLAG)
		return *value ? set_text(field, value)
			      : usage_error("option %s= has no value", opt->name);
	if (opt->kind == CHOICE) {
		rc = value_choice(value, opt->arg);
		if (rc >= 0)
			*(unsigned *)field = (unsigned)rc;
	} else {
		rc = set_number(field, opt->kind, value);
	}
	return rc >= 0 ? EXIT_OK
		       : usage_error("option %s=%s: must be %s", opt->name, value,
				     kind_of_value(opt));
}

static int apply(struct parse *p, const struct option *opt, const char *whole, const char *value)
{
	if (opt->kind == DROP || (opt->kind == NAME_OR_FLAG && !value))
		return EXIT_OK;
	if (opt->arg && !value)
		return usage_error("option %s needs a value: %s=%s", opt->name, opt->name,
				   opt->arg);
	if (!opt->arg && value)
		return usage_error("option %s takes no value", opt->name);
	if (opt->kind == PASS)
		return add_fuse_opt(p, whole);
	if (opt->kind == SET || opt->kind == CLEAR) {
		*(bool *)((char *)p + opt->offset) = opt->kind == SET;
		return EXIT_OK;
	}
	return set_value(p, opt, value);
}

/* One option without its comma, like "timeout=5". */
static int take_option(struct parse *p, const char *text)
{
	char name[64];
	size_t n = strcspn(text, "=");

	if (*text == '\0' || strncmp(text, "x-", 2) == 0 || strncmp(text, "X-", 2) == 0)
		return EXIT_OK;
	snprintf(name, sizeof(name), "%.*s", (int)(n < sizeof(name) ? n : sizeof(name) - 1), text);
	/* People try it, and it must not be echoed as a mere unknown word with its value. */
	bool user = strcmp(name, "user") == 0 || strcmp(name, "username") == 0;
	if (strcmp(name, "password") == 0 || strcmp(name, "pass") == 0 ||
	    (user && strchr(text, ':')))
		return usage_error("a password in the options can be read by everybody: use "
				   "credentials=FILE, password_stdin or FTPFS_PASSWORD");
	for (size_t i = 0; i < TABLE; i++)
		if (strcmp(table[i].name, name) == 0)
			return apply(p, &table[i], text, text[n] ? text + n + 1 : NULL);
	return unknown_option(name);
}

/* "a,b=c\,d": a backslash takes away the meaning of a comma or a backslash behind it. */
static int take_options(struct parse *p, const char *list)
{
	char *one = malloc(strlen(list) + 1);
	int code = EXIT_OK;

	if (!one)
		return no_memory();
	while (*list && code == EXIT_OK) {
		size_t n = 0;
		for (; *list && *list != ','; list++) {
			if (*list == '\\' && (list[1] == ',' || list[1] == '\\'))
				list++;
			one[n++] = *list;
		}
		one[n] = '\0';
		list += *list == ',';
		code = take_option(p, one);
	}
	free(one);
	return code;
}

static int take_word(struct parse *p, char *word)
{
	if (p->o.mountpoint)
		return usage_error("one word too many: '%s' (ftpfs [-o options] URL mountpoint)",
				   word);
	if (p->url || p->o.sync)
		return set_text(&p->o.mountpoint, word);
	int code = set_text(&p->url, word);
	/* From here on nobody finds a password in the list of processes. */
	credentials_scrub(word);
	return code;
}

static int take_flag(struct parse *p, const char *flag)
{
	if (strcmp(flag, "-h") == 0 || strcmp(flag, "--help") == 0)
		p->o.help = true;
	else if (strcmp(flag, "-V") == 0 || strcmp(flag, "--version") == 0)
		p->o.version = true;
	else if (strcmp(flag, "--sync") == 0)
		p->o.sync = true;
	else if (strcmp(flag, "-f") == 0)
		p->o.foreground = true;
	else if (strcmp(flag, "-d") == 0)
		p->o.mount.debug = true;
	else
		return usage_error("unknown flag '%s' (see ftpfs -h)", flag);
	return EXIT_OK;
}

int option_table_read(struct parse *p, int argc, char **argv)
{
	bool flags = true;
	int code = EXIT_OK;

	for (int i = 1; i < argc && code == EXIT_OK; i++) {
		char *a = argv[i];
		if (!flags || a[0] != '-' || a[1] == '\0')
			code = take_word(p, a);
		else if (strcmp(a, "--") == 0)
			flags = false;
		else if (strcmp(a, "-o") == 0 && i + 1 >= argc)
			code = usage_error("-o needs options behind it (see ftpfs -h)");
		else if (a[1] == 'o')
			code = take_options(p, a[2] ? a + 2 : argv[++i]);
		else
			code = take_flag(p, a);
	}
	return code;
}

void options_usage(void)
{
	puts("usage: ftpfs [-f] [-d] [-o option[,option...]] [ftp[s]://][user@]host[:port][/dir] "
	     "mountpoint\n"
	     "       ftpfs --sync mountpoint\n"
	     "\n"
	     "Mounts a directory of an FTP server.  /dir is relative to the login directory, //dir "
	     "is\n"
	     "absolute.  Unmount with: fusermount3 -u mountpoint (or umount, as root).\n"
	     "--sync waits until the server has all that was written.\n"
	     "\n"
	     "  -f    stay in the foreground\n"
	     "  -d    debug: -f, and log everything\n"
	     "  -h    this text\n"
	     "  -V    versions\n"
	     "\n"
	     "Options (default in brackets); a comma inside a value is written \\, :\n");
	for (size_t i = 0; i < TABLE; i++) {
		const struct option *opt = &table[i];
		char left[64];
		if (!opt->help)
			continue;
		snprintf(left, sizeof(left), "%s%s%s", opt->name, opt->arg ? "=" : "",
			 opt->arg ? opt->arg : "");
		printf("  -o %-28s %s\n", left, opt->help);
	}
	puts("\n"
	     "Mount options as mount(8) and fstab have them are understood (noexec, noatime, "
	     "_netdev,\n"
	     "noauto, nofail, x-*...); nodev and nosuid always apply.\n"
	     "\n"
	     "The password comes from the first of: the URL (others may see it), the environment\n"
	     "variable FTPFS_PASSWORD, password_stdin, credentials=, ~/.netrc, a question.");
}
