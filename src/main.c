/* main - composes the rooms bottom-up, mounts, serves, takes down in reverse */
#include <errno.h>
#include <fuse_opt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/memory.h"
#include "credentials.h"
#include "fs/journal.h"
#include "ftp/login.h"
#include "options.h"
#include "remote/retry.h"
#include "remote/trace.h"
#include "startup.h"
#include "sync.h"

#define VERSION "0.1.0"

enum { WHY_MAX = 4096, FTP_PORT = 21, FTPS_PORT = 990 };

/* Everything that is made, in the order in which it is made. */
enum { ACCOUNT_MAX = 16 << 10 };

struct house {
	struct options *o;
	struct fuse_args *args;
	char *mountpoint;
	char *cache_dir;
	struct journal *journal;
	struct remote *remote; /* until fs owns it */
	struct mount *mount;
	struct fs *fs;
};

/* What a failed login means to whoever reads it: what failed, and what to do next. */
static const struct {
	int code;
	const char *what;
	const char *next; /* NULL: nothing to add */
} failures[] = {
	[LOGIN_OK] = {EXIT_INTERNAL, "cannot log in to", NULL},
	[LOGIN_NO_HOST] = {EXIT_NO_HOST, "cannot find", "check the name and the network"},
	[LOGIN_NO_CONNECT] = {EXIT_NO_CONNECT, "cannot connect to",
			      "is the server running there, and no firewall between?"},
	[LOGIN_NO_TLS] = {EXIT_NO_TLS, "no encrypted connection to",
			  "tls=off or tls=try would send everything in the clear"},
	[LOGIN_BAD_CERT] = {EXIT_NO_TLS,
			    "the certificate is not trusted:", "cacert=FILE names one to trust"},
	[LOGIN_BAD_CACERT] = {EXIT_USAGE, "no certificate in cacert=FILE, for",
			      "it must hold some in PEM format"},
	[LOGIN_REFUSED] = {EXIT_LOGIN_REFUSED, "login refused by", "check user name and password"},
	[LOGIN_OOPS] = {EXIT_LOGIN_REFUSED, "login failed at",
			"the server itself is at fault: its administrator has to mend that"},
	[LOGIN_TOO_MANY] = {EXIT_TOO_MANY, "no room for another connection at", "try again later"},
	[LOGIN_NOT_FTP] = {EXIT_NOT_FTP, "no FTP server at", "check host and port"},
	[LOGIN_NO_DIR] = {EXIT_NO_DIR, "no such directory:",
			  "/dir is relative to the login directory, //dir is absolute"},
	[LOGIN_NOT_A_DIR] = {EXIT_NO_DIR, "not a directory:", "mount the one that holds it"},
	[LOGIN_INTERNAL] = {EXIT_INTERNAL, "cannot set up the connection to", NULL},
};

/* "host:port" (and who wanted in), or the URL where its directory is the trouble. */
static void name_target(const struct options *o, int code, struct buf *out)
{
	const struct login_conf *login = &o->ftp.login;
	unsigned port = login->port ? login->port : login->implicit_tls ? FTPS_PORT : FTP_PORT;

	if (code == EXIT_NO_DIR)
		buf_adds(out, o->url_shown);
	else
		buf_addf(out, login->ipv6_literal ? "[%s]:%u" : "%s:%u", login->host, port);
	if (code == EXIT_LOGIN_REFUSED)
		buf_addf(out, " for %s", login->user ? login->user : "anonymous");
}

static int login_failed(const struct options *o, enum login_failure failure, const char *why)
{
	const struct login_conf *login = &o->ftp.login;
	const char *next = failures[failure].next;
	struct buf target;

	if (failure == LOGIN_REFUSED && !login->password && login->user)
		next = "no password was given: credentials=FILE, FTPFS_PASSWORD or password_stdin";
	if (failure == LOGIN_NO_TLS && login->implicit_tls)
		next = "a server without ftps:// may have ftp:// with tls=require";
	buf_init(&target, WHY_MAX);
	name_target(o, failures[failure].code, &target);
	log_error("%s %s: %s%s%s%s", failures[failure].what, buf_text(&target), why,
		  next ? " (" : "", next ? next : "", next ? ")" : "");
	buf_free(&target);
	return failures[failure].code;
}

static int ask_password(struct options *o)
{
	int rc = options_prompt(o);

	o->may_prompt = false;
	if (rc == 0)
		return EXIT_OK;
	log_error("no password: %s", rc == -EINTR ? "interrupted" : strerror(-rc));
	return EXIT_LOGIN_REFUSED;
}

static int log_in(struct house *h, enum login_failure *failure, struct buf *why)
{
	const struct login_conf *login = &h->o->ftp.login;
	/* Connecting, then what is asked of a server once. */
	struct opctx ctx = opctx_for(login->connect_timeout + login->timeout);

	*failure = LOGIN_INTERNAL;
	buf_reset(why);
	int rc = remote_ftp_create(&h->o->ftp, &h->remote, failure, why, &ctx);
	if (rc < 0 && why->len == 0)
		buf_adds(why, strerror(-rc));
	return rc;
}

/* When ~/.netrc may know the password the first try is libcurl's, and the question comes after it.
 */
static int connect_remote(struct house *h)
{
	enum login_failure failure;
	struct buf why;
	int code = EXIT_OK;

	buf_init(&why, WHY_MAX);
	int rc = log_in(h, &failure, &why);
	if (rc < 0 && failure == LOGIN_REFUSED && h->o->may_prompt) {
		code = ask_password(h->o);
		rc = code == EXIT_OK ? log_in(h, &failure, &why) : 0;
	}
	if (rc < 0)
		code = login_failed(h->o, failure, buf_text(&why));
	buf_free(&why);
	return code;
}

static int no_memory(void)
{
	log_error("out of memory");
	return EXIT_INTERNAL;
}

static int wrap_remote(struct house *h)
{
	struct remote *traced = log_on(LOG_LEVEL_DEBUG) ? trace_create(h->remote) : h->remote;

	if (!traced)
		return no_memory();
	h->remote = traced;
	struct remote *retried = retry_create(h->remote, h->o->ftp.login.timeout);
	if (!retried)
		return no_memory();
	h->remote = retried;
	return EXIT_OK;
}

static int make_fs(struct house *h)
{
	struct fs_conf conf = h->o->fs;

	conf.remote = h->remote;
	conf.journal = h->journal;
	conf.on_change = mount_changed;
	conf.on_growth = mount_growth;
	conf.on_change_arg = h->mount;
	h->remote = NULL; /* fs owns it now, also when it fails */
	int rc = fs_create(&conf, &h->fs);
	if (rc < 0) {
		log_error("cannot start: %s", strerror(-rc));
		return EXIT_INTERNAL;
	}
	mount_set_fs(h->mount, h->fs);
	return EXIT_OK;
}

static int probe(struct house *h)
{
	struct opctx ctx = opctx_for(h->o->fs.timeout);
	int rc = fs_probe(h->fs, &ctx);

	if (rc == 0)
		return EXIT_OK;
	log_error("cannot list %s: %s", h->o->url_shown, strerror(-rc));
	return remote_link_error(rc) ? EXIT_NO_CONNECT : EXIT_NO_DIR;
}

/* Who asks whom for what: mounts of one target share the directory of what is to be stored. */
static void name_owed(const struct options *o, struct buf *out)
{
	const struct login_conf *login = &o->ftp.login;
	const char *dir = o->ftp.dir ? o->ftp.dir : "";

	buf_addf(out, "%s@%s:%u/%s", login->user ? login->user : "anonymous", login->host,
		 login->port	       ? login->port
		 : login->implicit_tls ? FTPS_PORT
				       : FTP_PORT,
		 dir);
	while (out->len > 1 && out->data[out->len - 1] == '/')
		out->data[--out->len] = '\0';
}

static int open_journal(struct house *h)
{
	struct buf target;

	buf_init(&target, WHY_MAX);
	name_owed(h->o, &target);
	int rc = buf_error(&target);
	if (rc == 0)
		rc = journal_open_any(h->cache_dir, buf_text(&target), &h->journal);
	buf_free(&target);
	if (rc == 0)
		return EXIT_OK;
	log_error("cannot use the directory for written files, %s: %s (cache_dir=DIR names "
		  "another)",
		  h->cache_dir, strerror(-rc));
	return EXIT_USAGE;
}

static void recover(struct house *h)
{
	struct opctx ctx = opctx_for(OPCTX_FOREVER);

	fs_recover(h->fs, &ctx);
}

static int build(struct house *h)
{
	int code;

	if ((code = startup_cache_dir(h->o->cache_dir, &h->cache_dir)) != EXIT_OK ||
	    (code = connect_remote(h)) != EXIT_OK || (code = wrap_remote(h)) != EXIT_OK ||
	    (code = open_journal(h)) != EXIT_OK)
		return code;
	if (mount_create(&h->o->mount, h->args, &h->mount) < 0)
		return EXIT_USAGE;
	if ((code = make_fs(h)) != EXIT_OK || (code = probe(h)) != EXIT_OK)
		return code;
	recover(h);
	if (mount_attach(h->mount, h->mountpoint) < 0)
		return EXIT_MOUNTPOINT;
	if (h->o->fs.write_back)
		startup_announce_helper(h->o->url_shown, h->mountpoint);
	return EXIT_OK;
}

/* What the mount did, for whoever asks with log=info. */
static void log_account(struct fs *fs)
{
	struct buf text;
	char *rest;

	if (!log_on(LOG_LEVEL_INFO))
		return;
	buf_init(&text, ACCOUNT_MAX);
	fs_describe(fs, &text);
	for (char *line = text.data ? strtok_r(text.data, "\n", &rest) : NULL; line;
	     line = strtok_r(NULL, "\n", &rest))
		log_info("%s", line);
	buf_free(&text);
}

static void take_down(struct house *h)
{
	if (h->fs) {
		log_account(h->fs);
		fs_destroy(h->fs);
	}
	mount_destroy(h->mount);
	if (h->remote)
		remote_destroy(h->remote);
	journal_close(h->journal);
	free(h->cache_dir);
	free(h->mountpoint);
}

static int run(struct house *h)
{
	struct background b;
	int code;

	if ((code = startup_mountpoint(h->o->mountpoint, &h->mountpoint)) != EXIT_OK)
		return code;
	if (h->o->may_prompt && !credentials_netrc_exists() &&
	    (code = ask_password(h->o)) != EXIT_OK)
		return code;
	if (!background_enter(&b, h->o->foreground, &code))
		return code;
	startup_raise_limits();
	memory_setup();
	code = build(h);
	if (code == EXIT_OK) {
		background_ready(&b);
		code = mount_loop(h->mount) < 0 ? EXIT_INTERNAL : EXIT_OK;
	} else {
		background_failed(&b, code);
	}
	return code;
}

static void show_versions(void)
{
	printf("ftpfs " VERSION "\nlibfuse %s\n%s\n", mount_library(), login_library());
}

static int mount_ftp(struct options *o, struct fuse_args *args)
{
	struct house h = {.o = o, .args = args};
	const char *why = NULL;

	if (login_init(&why) < 0) {
		log_error("%s", why);
		return EXIT_INTERNAL;
	}
	log_set_level(o->log_level);
	/* A server that hangs up is an error of one write, not the end of the program. */
	signal(SIGPIPE, SIG_IGN);
	int code = run(&h);
	take_down(&h);
	return code;
}

int main(int argc, char **argv)
{
	struct options o;
	struct fuse_args args = FUSE_ARGS_INIT(0, NULL);

	if (sync_is_umount(argv[0]))
		return sync_umount(argc, argv);
	int code = options_parse(argc, argv, &o, &args);
	if (code == EXIT_OK && o.help)
		options_usage();
	else if (code == EXIT_OK && o.version)
		show_versions();
	else if (code == EXIT_OK && o.sync)
		code = sync_mount(o.mountpoint);
	else if (code == EXIT_OK)
		code = mount_ftp(&o, &args);
	options_free(&o);
	fuse_opt_free_args(&args);
	return code;
}
