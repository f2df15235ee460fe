/* options_test - argv in, conf structs, exit codes and single lines on stderr out */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <fcntl.h>
#include <fuse_opt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "options.h"

struct run {
	int code;
	struct options o;
	struct fuse_args fuse;
	char said[4096]; /* on stderr */
	char *argv[16];
	int argc;
};

static int redirect(int fd, FILE *to)
{
	fflush(stderr);
	int saved = dup(fd);
	assert_true(saved >= 0 && dup2(fileno(to), fd) >= 0);
	return saved;
}

static void restore(int fd, int saved)
{
	fflush(stderr);
	assert_true(dup2(saved, fd) >= 0);
	close(saved);
}

static void collect_said(struct run *r, FILE *from)
{
	rewind(from);
	size_t n = fread(r->said, 1, sizeof(r->said) - 1, from);
	r->said[n] = '\0';
	fclose(from);
}

/* The words are copied: options_parse() writes over passwords in argv. */
static void run_argv(struct run *r, const char *const *words)
{
	FILE *errors = tmpfile();

	assert_non_null(errors);
	memset(r, 0, sizeof(*r));
	for (; words[r->argc]; r->argc++)
		r->argv[r->argc] = strdup(words[r->argc]);
	int saved = redirect(STDERR_FILENO, errors);
	r->code = options_parse(r->argc, r->argv, &r->o, &r->fuse);
	restore(STDERR_FILENO, saved);
	collect_said(r, errors);
}

#define RUN(r, ...)    run_argv((r), (const char *const[]){"ftpfs", __VA_ARGS__, NULL})
#define RUN_O(r, opts) RUN(r, "-o", opts, "ftp://h", "/mnt")

static void run_free(struct run *r)
{
	options_free(&r->o);
	fuse_opt_free_args(&r->fuse);
	for (int i = 0; i < r->argc; i++)
		free(r->argv[i]);
}

static size_t lines(const char *text)
{
	size_t n = 0;

	for (; *text; text++)
		n += *text == '\n';
	return n;
}

static const char *fuse_opts(const struct run *r)
{
	assert_int_equal(r->fuse.argc, 3);
	assert_string_equal(r->fuse.argv[1], "-o");
	return r->fuse.argv[2];
}

/* Is `word` one of the comma-separated options? */
static int has_opt(const char *opts, const char *word)
{
	size_t n = strlen(word);

	for (const char *at = opts; (at = strstr(at, word)); at += n)
		if ((at == opts || at[-1] == ',') && (at[n] == ',' || at[n] == '\0'))
			return 1;
	return 0;
}

static void assert_refused(const char *const *words, const char *said)
{
	struct run r;

	run_argv(&r, words);
	if (r.code != EXIT_USAGE || !strstr(r.said, said) || lines(r.said) != 1)
		fail_msg("code %d, said: %s; wanted: %s", r.code, r.said, said);
	run_free(&r);
}

#define REFUSED(said, ...) assert_refused((const char *const[]){"ftpfs", __VA_ARGS__, NULL}, said)

static void test_defaults(void **state)
{
	struct run r;

	(void)state;
	RUN(&r, "ftp://example.org/pub", "/mnt/x");
	assert_int_equal(r.code, EXIT_OK);
	assert_string_equal(r.said, "");
	assert_string_equal(r.o.ftp.login.host, "example.org");
	assert_string_equal(r.o.ftp.dir, "pub");
	assert_string_equal(r.o.mountpoint, "/mnt/x");
	assert_null(r.o.ftp.login.user);
	assert_null(r.o.ftp.login.password);
	assert_int_equal(r.o.ftp.login.tls, TLS_OFF);
	assert_int_equal(r.o.ftp.max_conns, 8);
	assert_int_equal(r.o.ftp.active, ACTIVE_AUTO);
	assert_int_equal(r.o.fs.inplace, INPLACE_AUTO);
	assert_int_equal(r.o.fs.atomic, ATOMIC_AUTO);
	assert_false(r.o.fs.verify_hash);
	assert_false(r.o.mount.xattr);
	assert_false(r.o.mount.direct_io);
	assert_int_equal(r.o.fs.dcache_timeout, 20 * NS_PER_S);
	assert_int_equal(r.o.ftp.login.connect_timeout, 15 * NS_PER_S);
	assert_int_equal(r.o.ftp.login.timeout, 30 * NS_PER_S);
	assert_int_equal(r.o.fs.timeout, 30 * NS_PER_S);
	assert_int_equal(r.o.mount.timeout, 30 * NS_PER_S);
	assert_true(r.o.mount.max_threads > r.o.ftp.max_conns);
	assert_int_equal(r.o.fs.prefetch_bytes, 32 << 20);
	assert_int_equal(r.o.fs.uid, getuid());
	assert_false(r.o.fs.umask_set || r.o.fs.read_only || r.o.fs.chown_error || r.o.foreground);
	assert_int_equal(r.o.log_level, LOG_LEVEL_WARN);
	assert_null(r.o.cache_dir);
	assert_false(r.o.may_prompt);
	assert_true(has_opt(fuse_opts(&r), "fsname=ftp://example.org/pub"));
	assert_true(has_opt(fuse_opts(&r), "subtype=ftpfs"));
	assert_true(has_opt(fuse_opts(&r), "nosuid") && has_opt(fuse_opts(&r), "nodev"));
	run_free(&r);
}

static void test_every_option(void **state)
{
	struct run r;

	(void)state;
	RUN(&r, "bob@h", "/mnt", "-o",
	    "account=a,tls=try,insecure,max_conns=3,dcache_timeout=0,connect_timeout=4,timeout=5",
	    "-ocache_dir=/"
	    "c,chown=error,ro,uid=7,gid=8,umask=027,log=info,prefetch_size=2k,active=off,"
	    "write=back,cache_size=1G,umount_wait=6,inplace=on,atomic=off,verify=hash,xattr=on,"
	    "direct_io");
	assert_string_equal(r.said, "");
	assert_int_equal(r.code, EXIT_OK);
	assert_string_equal(r.o.ftp.login.user, "bob");
	assert_string_equal(r.o.ftp.login.account, "a");
	assert_int_equal(r.o.ftp.login.tls, TLS_TRY);
	assert_true(r.o.ftp.login.insecure);
	assert_int_equal(r.o.ftp.max_conns, 3);
	assert_int_equal(r.o.ftp.active, ACTIVE_OFF);
	assert_int_equal(r.o.fs.inplace, INPLACE_ON);
	assert_int_equal(r.o.fs.atomic, ATOMIC_OFF);
	assert_true(r.o.fs.verify_hash);
	assert_true(r.o.mount.xattr);
	assert_true(r.o.mount.direct_io);
	assert_int_equal(r.o.fs.dcache_timeout, 0);
	assert_int_equal(r.o.ftp.login.connect_timeout, 4 * NS_PER_S);
	assert_int_equal(r.o.ftp.login.timeout, 5 * NS_PER_S);
	assert_string_equal(r.o.cache_dir, "/c");
	assert_true(r.o.fs.chown_error && r.o.fs.read_only && r.o.fs.umask_set);
	assert_int_equal(r.o.fs.uid, 7);
	assert_int_equal(r.o.fs.gid, 8);
	assert_int_equal(r.o.fs.umask, 027);
	assert_int_equal(r.o.log_level, LOG_LEVEL_INFO);
	assert_int_equal(r.o.fs.prefetch_bytes, 2048);
	assert_true(r.o.fs.write_back);
	assert_int_equal(r.o.fs.cache_size, 1 << 30);
	assert_int_equal(r.o.fs.umount_wait, 6 * NS_PER_S);
	assert_true(has_opt(fuse_opts(&r), "ro"));
	run_free(&r);
}

static void test_later_option_wins(void **state)
{
	struct run r;

	(void)state;
	RUN_O(&r, "ro,timeout=1,prefetch=on,rw,timeout=2,prefetch=off");
	assert_false(r.o.fs.read_only);
	assert_false(has_opt(fuse_opts(&r), "ro"));
	assert_int_equal(r.o.ftp.login.timeout, 2 * NS_PER_S);
	assert_int_equal(r.o.fs.prefetch_bytes, 0);
	run_free(&r);
}

static void test_pass_and_drop(void **state)
{
	struct run r;

	(void)state;
	RUN_O(&r, "allow_other,default_permissions,noexec,noatime,_netdev,noauto,nofail,user,users,"
		  "x-systemd.automount,x-systemd.idle-timeout=60,relatime,defaults,dev,suid,,"
		  "comment=fstab");
	assert_string_equal(r.said, "");
	assert_int_equal(r.code, EXIT_OK);
	const char *opts = fuse_opts(&r);
	assert_true(has_opt(opts, "allow_other") && has_opt(opts, "default_permissions"));
	assert_true(has_opt(opts, "noexec") && has_opt(opts, "noatime"));
	assert_false(has_opt(opts, "_netdev") || has_opt(opts, "noauto") || has_opt(opts, "user"));
	assert_false(has_opt(opts, "dev") || has_opt(opts, "suid") || strstr(opts, "x-"));
	assert_null(r.o.ftp.login.user);
	run_free(&r);
}

static void test_commas_in_values(void **state)
{
	struct run r;

	(void)state;
	RUN(&r, "-o", "cache_dir=/a\\,b\\\\c\\d,timeout=9", "ftp://h/x,y", "/mnt");
	assert_int_equal(r.code, EXIT_OK);
	assert_string_equal(r.o.cache_dir, "/a,b\\c\\d");
	assert_int_equal(r.o.ftp.login.timeout, 9 * NS_PER_S);
	assert_non_null(strstr(fuse_opts(&r), "fsname=ftp://h/x\\,y,"));
	run_free(&r);
}

static void test_unknown_options(void **state)
{
	(void)state;
	REFUSED("unknown option 'max_con': did you mean 'max_conns'?", "-o", "max_con=3", "h",
		"/m");
	REFUSED("unknown option 'alow_other': did you mean 'allow_other'?", "-oalow_other", "h",
		"/m");
	REFUSED("unknown option 'tiemout': did you mean 'timeout'?", "-otiemout=1", "h", "/m");
	REFUSED("'remount': a mount stays as it is: unmount it", "-oro,remount", "h", "/m");
	REFUSED("'ssl': use tls=require", "-ossl", "h", "/m");
	REFUSED("unknown option 'zzzzzzzz'", "-o", "zzzzzzzz=1", "h", "/m");
	REFUSED("unknown flag '-q'", "-q", "h", "/m");
	REFUSED("-o needs options", "h", "/m", "-o");
}

static void test_bad_values(void **state)
{
	static const char *const bad[][2] = {
		{"timeout=x", "timeout=x: must be a whole number of seconds, 1 or more"},
		{"timeout=0", "timeout=0: must be"},
		{"timeout=-1", "timeout=-1: must be"},
		{"timeout=", "timeout=: must be"},
		{"timeout=99999999999999999999", "must be a whole number"},
		{"timeout", "option timeout needs a value"},
		{"dcache_timeout=1s", "dcache_timeout=1s: must be"},
		{"max_conns=0", "max_conns=0: must be a number from 1 to 64"},
		{"max_conns=65", "max_conns=65: must be"},
		{"prefetch_size=1T", "prefetch_size=1T: must be a size"},
		{"prefetch_size=9000000000G", "must be a size"},
		{"umask=9", "umask=9: must be an octal"},
		{"umask=01000", "umask=01000: must be"},
		{"uid=no-such-user", "uid=no-such-user: must be a user's"},
		{"tls=yes", "tls=yes: must be off|try|require"},
		{"tls=", "tls=: must be"},
		{"chown=of", "must be ignore|error"},
		{"log=loud", "must be error|warn|info|debug"},
		{"username=", "username= has no value"},
		{"ro=1", "option ro takes no value"},
		{"allow_other=1", "option allow_other takes no value"},
		{"insecure", "insecure means nothing without encryption"},
		{"tls=try,cacert=/nonexistent", "cannot read cacert=/nonexistent"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		REFUSED(bad[i][1], "-o", bad[i][0], "h", "/m");
}

static void test_words(void **state)
{
	struct run r;

	(void)state;
	assert_refused((const char *const[]){"ftpfs", NULL}, "no URL and no mount point");
	REFUSED("no mount point given", "ftp://h");
	REFUSED("one word too many: 'c'", "a", "b", "c");
	REFUSED("the URL comes first", "/m", "ftp://h/x");
	REFUSED("bad URL", "http://h/x", "/m");
	RUN(&r, "-f", "--", "h", "-m");
	assert_int_equal(r.code, EXIT_OK);
	assert_string_equal(r.o.mountpoint, "-m");
	assert_true(r.o.foreground && r.o.mount.foreground);
	run_free(&r);
	RUN(&r, "-d", "h", "/m");
	assert_true(r.o.foreground && r.o.mount.debug);
	assert_int_equal(r.o.log_level, LOG_LEVEL_DEBUG);
	run_free(&r);
	RUN(&r, "-h");
	assert_true(r.code == EXIT_OK && r.o.help);
	run_free(&r);
	RUN(&r, "-V");
	assert_true(r.code == EXIT_OK && r.o.version);
	run_free(&r);
	RUN(&r, "--sync", "/m");
	assert_true(r.code == EXIT_OK && r.o.sync);
	assert_string_equal(r.o.mountpoint, "/m");
	run_free(&r);
	REFUSED("--sync needs a mount point", "--sync");
	REFUSED("one word too many: 'c'", "--sync", "/m", "c");
}

static void test_tls_of_scheme(void **state)
{
	struct run r;

	(void)state;
	RUN(&r, "ftps://h", "/m", "-o", "insecure,tls=try");
	assert_int_equal(r.code, EXIT_OK);
	assert_true(r.o.ftp.login.implicit_tls);
	assert_int_equal(r.o.ftp.login.tls, TLS_REQUIRE);
	assert_true(has_opt(fuse_opts(&r), "fsname=ftps://h"));
	run_free(&r);
	REFUSED("tls=off contradicts ftps://", "-otls=off", "ftps://h", "/m");
	REFUSED("inplace=on contradicts atomic=on", "-oinplace=on,atomic=on", "h", "/m");
}

/* The password reaches the login and nothing else. */
static void assert_password(const struct run *r, const char *password)
{
	assert_int_equal(r->code, EXIT_OK);
	assert_non_null(r->o.ftp.login.password);
	assert_string_equal(r->o.ftp.login.password, password);
	assert_null(strstr(r->said, password));
	assert_null(strstr(r->o.url_shown, password));
	assert_null(strstr(fuse_opts(r), password));
	for (int i = 0; i < r->argc; i++)
		assert_null(strstr(r->argv[i], password));
	assert_false(r->o.may_prompt);
}

static void test_password_in_url(void **state)
{
	struct run r;

	(void)state;
	RUN(&r, "ftp://bob:s3cr%40t@h:2121/d@e", "/m");
	assert_string_equal(r.o.ftp.login.password, "s3cr@t");
	free(r.o.ftp.login.password);
	r.o.ftp.login.password = strdup("s3cr%40t"); /* as it was typed, it is nowhere either */
	assert_password(&r, "s3cr%40t");
	assert_string_equal(r.argv[1], "ftp://bob:********@h:2121/d@e");
	assert_string_equal(r.o.url_shown, "ftp://bob@h:2121/d@e");
	assert_int_equal(lines(r.said), 1);
	assert_non_null(strstr(r.said, "password in the URL"));
	run_free(&r);
	/* also when nothing comes of it */
	RUN(&r, "ftp://bob:s3cret@h:99999/", "/m");
	assert_int_equal(r.code, EXIT_USAGE);
	assert_null(strstr(r.said, "s3cret"));
	assert_null(strstr(r.argv[1], "s3cret"));
	run_free(&r);
	REFUSED("can be read by everybody", "-opassword=x", "h", "/m");
	REFUSED("can be read by everybody", "-ouser=bob:x", "h", "/m");
}

static void test_password_in_environment(void **state)
{
	struct run r;

	(void)state;
	setenv("FTPFS_PASSWORD", "envpass", 1);
	RUN(&r, "bob@h", "/m");
	assert_password(&r, "envpass");
	assert_null(getenv("FTPFS_PASSWORD"));
	run_free(&r);
	setenv("FTPFS_PASSWORD", "envpass", 1);
	RUN(&r, "h", "/m");
	assert_int_equal(r.code, EXIT_OK);
	assert_null(r.o.ftp.login.password);
	assert_null(getenv("FTPFS_PASSWORD"));
	run_free(&r);
	setenv("FTPFS_PASSWORD", "envpass", 1);
	RUN(&r, "b%40b:urlpass@h", "/m");
	assert_string_equal(r.o.ftp.login.user, "b@b");
	assert_string_equal(r.o.url_shown, "ftp://b%40b@h");
	assert_password(&r, "urlpass");
	run_free(&r);
}

static void run_with_stdin(struct run *r, const char *input, const char *const *words)
{
	FILE *in = tmpfile();

	assert_non_null(in);
	assert_true(fputs(input, in) >= 0 && fflush(in) == 0);
	rewind(in);
	int saved = redirect(STDIN_FILENO, in);
	run_argv(r, words);
	restore(STDIN_FILENO, saved);
	fclose(in);
}

static void test_password_on_stdin(void **state)
{
	static const char *const words[] = {"ftpfs", "-opassword_stdin", "bob@h", "/m", NULL};
	struct run r;

	(void)state;
	run_with_stdin(&r, "pass , word\r\nnext line\n", words);
	assert_password(&r, "pass , word");
	run_free(&r);
	run_with_stdin(&r, "no-newline", words);
	assert_password(&r, "no-newline");
	run_free(&r);
	run_with_stdin(&r, "", words);
	assert_int_equal(r.code, EXIT_USAGE);
	assert_non_null(strstr(r.said, "no password on standard input"));
	run_free(&r);
}

static void write_file(const char *path, const char *text, mode_t mode)
{
	FILE *f = fopen(path, "w");

	assert_non_null(f);
	assert_true(fputs(text, f) >= 0);
	assert_int_equal(fclose(f), 0);
	assert_int_equal(chmod(path, mode), 0);
}

static void test_credentials_file(void **state)
{
	char dir[] = "/tmp/options_test.XXXXXX", path[64], opt[128];
	struct run r;

	(void)state;
	assert_non_null(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/cred", dir);
	snprintf(opt, sizeof(opt), "-ocredentials=%s", path);

	write_file(path, "# mine\n\n username=bob\npassword=a=b # c \r\ndomain=x\n", 0600);
	RUN(&r, opt, "h", "/m");
	assert_string_equal(r.o.ftp.login.user, "bob");
	assert_password(&r, "a=b # c ");
	run_free(&r);

	write_file(path, "username = bob\npassword =\t a \n", 0600);
	RUN(&r, opt, "h", "/m");
	assert_string_equal(r.o.ftp.login.user, "bob");
	assert_password(&r, "a ");
	run_free(&r);

	REFUSED("two user names: 'eve' in the options and 'bob' in the URL", "-ouser=eve", "bob@h",
		"/m");
	REFUSED("'bob' in the credentials file", opt, "eve@h", "/m");
	chmod(path, 0640);
	REFUSED("can be read by others: chmod 600 it", opt, "h", "/m");
	write_file(path, "username=bob\nhunter2\n", 0600);
	RUN(&r, opt, "h", "/m");
	assert_int_equal(r.code, EXIT_USAGE);
	assert_non_null(strstr(r.said, "line 2: "));
	assert_null(strstr(r.said, "hunter2"));
	run_free(&r);
	write_file(path, "password=x\n", 0600);
	REFUSED("no user name", opt, "h", "/m");
	unlink(path);
	REFUSED("cannot read the credentials file", opt, "h", "/m");
	mkdir(path, 0700);
	REFUSED("is not a regular file", opt, "h", "/m");
	rmdir(path);
	rmdir(dir);
}

/* Each option in the usage is understood, and the usage names each that has a default. */
static void test_usage_is_true(void **state)
{
	static char text[16384];
	FILE *out = tmpfile();

	(void)state;
	fflush(stdout);
	int saved = redirect(STDOUT_FILENO, out);
	options_usage();
	fflush(stdout);
	restore(STDOUT_FILENO, saved);
	rewind(out);
	text[fread(text, 1, sizeof(text) - 1, out)] = '\0';
	fclose(out);
	assert_int_equal(strncmp(text, "usage: ftpfs", 12), 0);
	size_t seen = 0;
	for (const char *at = text; (at = strstr(at, "\n  -o ")); seen++) {
		char name[64];
		struct run r;
		at += 6;
		size_t n = strcspn(at, "= ");
		snprintf(name, sizeof(name), "-o%.*s", (int)n, at);
		RUN(&r, name, "h", "/m");
		assert_null(strstr(r.said, "unknown option"));
		run_free(&r);
	}
	assert_true(seen >= 22);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_defaults),
		cmocka_unit_test(test_every_option),
		cmocka_unit_test(test_later_option_wins),
		cmocka_unit_test(test_pass_and_drop),
		cmocka_unit_test(test_commas_in_values),
		cmocka_unit_test(test_unknown_options),
		cmocka_unit_test(test_bad_values),
		cmocka_unit_test(test_words),
		cmocka_unit_test(test_tls_of_scheme),
		cmocka_unit_test(test_password_in_url),
		cmocka_unit_test(test_password_in_environment),
		cmocka_unit_test(test_password_on_stdin),
		cmocka_unit_test(test_credentials_file),
		cmocka_unit_test(test_usage_is_true),
	};

	unsetenv("FTPFS_PASSWORD");
	return cmocka_run_group_tests(tests, NULL, NULL);
}
