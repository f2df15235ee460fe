/* options - argv, environment and files -> one conf struct per room */
#include "options.h"

#include <errno.h>
#include <fuse_opt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/path.h"
#include "credentials.h"
#include "option_table.h"
#include "parse/url.h"

/* FUSE threads: well above the most connections there can be (64 only by choice, 8 by default), so
 * that transfers that wait never take the last one from an `ls`. */
enum { THREADS = 64, THREADS_OVER_CONNS = 32, URL_SHOWN_MAX = 3 * 8192 };

static void set_defaults(struct parse *p)
{
	memset(p, 0, sizeof(*p));
	p->o.ftp.max_conns = 8;
	p->o.ftp.login.connect_timeout = 15 * NS_PER_S;
	p->o.ftp.login.timeout = 30 * NS_PER_S;
	p->o.fs.dcache_timeout = 20 * NS_PER_S;
	p->o.log_level = LOG_LEVEL_WARN;
	p->tls = NOT_SET;
	p->log = NOT_SET;
	p->umask = NOT_SET;
	p->prefetch_size = 32 << 20;
	p->uid = getuid();
	p->gid = getgid();
}

static void parse_free(struct parse *p)
{
	secret_free(p->url);
	free(p->credentials);
	free(p->fuse_opts);
}

void options_free(struct options *o)
{
	free(o->ftp.login.host);
	free(o->ftp.login.user);
	secret_free(o->ftp.login.password);
	free(o->ftp.login.account);
	free(o->ftp.login.cacert);
	free(o->ftp.dir);
	free(o->cache_dir);
	free(o->url_shown);
	free(o->mountpoint);
	memset(o, 0, sizeof(*o));
}

static void add_encoded(struct buf *out, const char *text)
{
	static const char plain[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
				    "0123456789-._~";

	for (; *text; text++)
		if (strchr(plain, *text))
			buf_add(out, text, 1);
		else
			buf_addf(out, "%%%02X", (unsigned char)*text);
}

/* The URL as it was typed, but with the user who logs in and without a password. */
static int show_url(struct parse *p)
{
	struct buf shown;
	const char *from, *to;
	const struct login_conf *login = &p->o.ftp.login;
	const char *rest = credentials_in_url(p->url, &from, &to) ? to + 1 : from;

	buf_init(&shown, URL_SHOWN_MAX);
	buf_adds(&shown, login->implicit_tls ? "ftps://" : "ftp://");
	if (login->user) {
		add_encoded(&shown, login->user);
		buf_adds(&shown, "@");
	}
	buf_adds(&shown, rest);
	p->o.url_shown = buf_error(&shown) ? NULL : strdup(buf_text(&shown));
	buf_free(&shown);
	return p->o.url_shown ? EXIT_OK : no_memory();
}

static int take_user(struct parse *p, char *user, const char *where)
{
	char **mine = &p->o.ftp.login.user;

	if (user && *mine && strcmp(user, *mine) != 0) {
		int code = usage_error("two user names: '%s' in the options and '%s' in %s", *mine,
				       user, where);
		free(user);
		return code;
	}
	if (user && !*mine)
		*mine = user;
	else
		free(user);
	return EXIT_OK;
}

static int take_url(struct parse *p)
{
	struct url u;
	const char *why = NULL;
	struct login_conf *login = &p->o.ftp.login;

	int rc = url_parse(p->url, &u, &why);
	if (rc == -ENOMEM)
		return no_memory();
	if (rc < 0 && *p->url == '/' && strstr(p->o.mountpoint, "://"))
		return usage_error("the URL comes first, then the mount point");
	if (rc < 0) /* not shown: it may hold a password where none was recognised */
		return usage_error("bad URL: %s (ftp://user@host/dir is a good one)", why);
	login->host = u.host;
	login->ipv6_literal = u.ipv6_literal;
	login->port = u.port;
	login->implicit_tls = u.implicit_tls;
	login->password = u.password;
	p->o.ftp.dir = u.dir;
	char *user = u.user;
	memset(&u, 0, sizeof(u)); /* everything in it has a new owner */
	if (login->password)
		log_warn("a password in the URL can be seen by others while ftpfs starts, and "
			 "stays in "
			 "the shell's history: use credentials=FILE, FTPFS_PASSWORD or ~/.netrc");
	return take_user(p, user, "the URL");
}

/* Read first, for its user name; its password comes last. */
static int read_credentials_file(struct parse *p, char **password)
{
	char *user = NULL;

	if (!p->credentials)
		return EXIT_OK;
	if (credentials_from_file(p->credentials, &user, password) < 0) {
		free(user);
		return EXIT_USAGE;
	}
	return take_user(p, user, "the credentials file");
}

static int take_stdin(struct parse *p)
{
	struct login_conf *login = &p->o.ftp.login;

	if (!p->password_stdin || login->password)
		return EXIT_OK;
	int rc = credentials_from_line(STDIN_FILENO, &login->password);
	return rc < 0 ? usage_error("password_stdin: no password on standard input: %s",
				    strerror(-rc))
		      : EXIT_OK;
}

/* The first that is there; the others are wiped. */
static void take_password(struct login_conf *login, char *password)
{
	if (!login->password)
		login->password = password;
	else
		secret_free(password);
}

static bool is_anonymous(const char *user)
{
	return !user || strcmp(user, "anonymous") == 0 || strcmp(user, "ftp") == 0;
}

static int take_passwords(struct parse *p, char *from_environment)
{
	struct login_conf *login = &p->o.ftp.login;
	char *from_file = NULL;

	int code = read_credentials_file(p, &from_file);
	/* Without a user name the variable is not for this mount: it may be exported for others. */
	if (login->user)
		take_password(login, from_environment);
	else
		secret_free(from_environment);
	if (code == EXIT_OK)
		code = take_stdin(p);
	take_password(login, from_file);
	if (code == EXIT_OK && login->password && !login->user)
		code = usage_error("there is a password but no user name: add username=NAME");
	p->o.may_prompt = !is_anonymous(login->user) && !login->password && credentials_can_ask();
	return code;
}

static int take_tls(struct parse *p)
{
	struct login_conf *login = &p->o.ftp.login;

	if (login->implicit_tls && p->tls == TLS_OFF)
		return usage_error("tls=off contradicts ftps://: use ftp://");
	if (login->implicit_tls)
		login->tls = TLS_REQUIRE;
	else
		login->tls = p->tls == NOT_SET ? TLS_OFF : (enum tls_mode)p->tls;
	if (login->tls == TLS_OFF && (login->cacert || login->insecure))
		return usage_error("%s means nothing without encryption: add tls=require or use "
				   "ftps://",
				   login->cacert ? "cacert=" : "insecure");
	return EXIT_OK;
}

/* The daemon lives in "/": relative paths are resolved here, where they are meant. */
static int take_cacert(struct parse *p)
{
	char **path = &p->o.ftp.login.cacert;

	if (!*path)
		return EXIT_OK;
	char *whole = realpath(*path, NULL);
	if (!whole || access(whole, R_OK) != 0) {
		int code = usage_error("cannot read cacert=%s: %s", *path, strerror(errno));
		free(whole);
		return code;
	}
	free(*path);
	*path = whole;
	return EXIT_OK;
}

static int check_ways(const struct parse *p)
{
	if (p->inplace == INPLACE_ON && p->atomic == ATOMIC_ON)
		return usage_error("inplace=on contradicts atomic=on: a change in place is a "
				   "mixture until all of it is there");
	return EXIT_OK;
}

static void take_numbers(struct parse *p)
{
	struct options *o = &p->o;
	unsigned conns = o->ftp.max_conns;

	o->fs.uid = p->uid;
	o->fs.gid = p->gid;
	o->fs.umask_set = p->umask != NOT_SET;
	o->fs.umask = o->fs.umask_set ? p->umask : 0;
	o->fs.chown_error = p->chown == 1;
	o->ftp.active = (enum active_mode)p->active;
	o->fs.write_back = p->write == 1;
	o->fs.uploads = conns;
	o->fs.inplace = (enum inplace)p->inplace;
	o->fs.atomic = (enum atomicity)p->atomic;
	o->fs.verify_hash = p->verify == 1;
	o->mount.xattr = p->xattr == 1;
	o->fs.timeout = o->ftp.login.timeout;
	o->mount.timeout = o->ftp.login.timeout;
	o->mount.max_threads = THREADS > conns + THREADS_OVER_CONNS ? THREADS
								    : conns + THREADS_OVER_CONNS;
	/* With as many threads as connections the wire never waits for us; that the foreground goes
	 * first is the pool's care. */
	if (p->prefetch_off == 0 && conns > 2) {
		o->fs.prefetch_bytes = p->prefetch_size;
		o->fs.prefetch_threads = conns;
	}
	if (o->mount.debug)
		o->foreground = true;
	o->mount.foreground = o->foreground;
	if (p->log != NOT_SET)
		o->log_level = (enum log_level)p->log;
	else if (o->mount.debug)
		o->log_level = LOG_LEVEL_DEBUG;
}

/* libfuse takes the last of two values: what the user gave comes behind ours. */
static int give_fuse_args(struct parse *p, struct fuse_args *args)
{
	char *opts = NULL, *fsname = NULL;
	int rc = -1;

	if (asprintf(&fsname, "fsname=%s", p->o.url_shown) >= 0 &&
	    fuse_opt_add_opt_escaped(&opts, fsname) == 0 &&
	    fuse_opt_add_opt(&opts, "subtype=ftpfs,nosuid,nodev") == 0 &&
	    (!p->o.fs.read_only || fuse_opt_add_opt(&opts, "ro") == 0) &&
	    (!p->fuse_opts || fuse_opt_add_opt(&opts, p->fuse_opts) == 0) &&
	    fuse_opt_add_arg(args, "ftpfs") == 0 && fuse_opt_add_arg(args, "-o") == 0)
		rc = fuse_opt_add_arg(args, opts);
	free(fsname);
	free(opts);
	return rc == 0 ? EXIT_OK : no_memory();
}

static int finish(struct parse *p, struct fuse_args *fuse_args, char *env_password)
{
	int code = take_url(p);

	if (code != EXIT_OK) {
		secret_free(env_password);
		return code;
	}
	if ((code = take_passwords(p, env_password)) != EXIT_OK ||
	    (code = take_tls(p)) != EXIT_OK || (code = take_cacert(p)) != EXIT_OK ||
	    (code = check_ways(p)) != EXIT_OK)
		return code;
	take_numbers(p);
	code = show_url(p);
	return code == EXIT_OK ? give_fuse_args(p, fuse_args) : code;
}

static int need_words(const struct parse *p)
{
	if (!p->url)
		return usage_error(
			"no URL and no mount point given: "
			"ftpfs [-o options] ftp://user@host/dir mountpoint (see ftpfs -h)");
	if (!p->o.mountpoint)
		return usage_error(
			"no mount point given: "
			"ftpfs [-o options] ftp://user@host/dir mountpoint (see ftpfs -h)");
	return EXIT_OK;
}

int options_parse(int argc, char **argv, struct options *out, struct fuse_args *fuse_args)
{
	struct parse p;
	char *env_password = credentials_from_env();

	set_defaults(&p);
	int code = option_table_read(&p, argc, argv);
	bool informs = code == EXIT_OK && (p.o.help || p.o.version || p.o.sync);

	if (code == EXIT_OK && p.o.sync && !p.o.mountpoint)
		code = usage_error("--sync needs a mount point: ftpfs --sync mountpoint");
	if (code == EXIT_OK && !informs)
		code = need_words(&p);
	if (code == EXIT_OK && !informs)
		code = finish(&p, fuse_args, env_password);
	else
		secret_free(env_password);
	if (code != EXIT_OK)
		options_free(&p.o);
	*out = p.o;
	parse_free(&p);
	return code;
}

int options_prompt(struct options *o)
{
	struct login_conf *login = &o->ftp.login;
	char prompt[512], *password = NULL;

	snprintf(prompt, sizeof(prompt), "Password for %s at %s: ", login->user, login->host);
	int rc = credentials_ask(prompt, &password);
	if (rc < 0)
		return rc;
	secret_free(login->password);
	login->password = password;
	return 0;
}
