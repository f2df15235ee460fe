/* ftpdrive - drives ftp/remote_ftp from a script on stdin, for the tests of the FTP dialogues
 *
 * One operation a line, words separated by one space, each percent-encoded; one line of JSON an
 * answer.  Words before the operation change how it runs: "@TAG" in a thread of its own (the answer
 * carries the tag), "within:MS" with a deadline, "background" as looking ahead does,
 * "lasting" as one of several streams of a big file does.  Bytes of
 * names and of content appear in the JSON as the characters U+0000..U+00FF. */
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/stats.h"
#include "drive.h"
#include "ftp/remote_ftp.h"

enum { WORDS_MAX = 20000, ANSWER_MAX = 256 << 20 };

static void print(struct drive *d, const struct buf *out)
{
	mutex_lock(&d->mutex);
	printf("%s\n", buf_text(out));
	fflush(stdout);
	mutex_unlock(&d->mutex);
}

static void add_error(struct buf *out, int rc)
{
	if (rc == 0)
		buf_adds(out, ", \"error\": null");
	else
		add_field(out, "error", strerrorname_np(-rc) ? strerrorname_np(-rc) : "?");
}

static void answer(struct job *j, const char *name, int rc, int64_t started)
{
	add_field(&j->out, "op", name);
	add_error(&j->out, rc);
	if (j->tag)
		add_field(&j->out, "tag", j->tag);
	buf_addf(&j->out, ", \"sent\": %lld", (long long)stats_get(STAT_COMMANDS));
	buf_addf(&j->out, ", \"ms\": %lld}",
		 (long long)((clock_monotonic() - started) / NS_PER_MS));
	print(j->drive, &j->out);
}

static void *run_job(void *arg)
{
	struct job *j = arg;
	const char *name = j->argv[-1];
	int64_t started = clock_monotonic();
	const struct op *op = find_op(name);

	buf_adds(&j->out, "{\"answer\": true");
	int rc = op && j->argc >= op->argc ? op->run(j) : -ENOSYS;
	answer(j, name, rc, started);
	buf_free(&j->out);
	free(j->words);
	free(j->line);
	free(j);
	return NULL;
}

static void decode(char *word)
{
	char *to = word;

	for (const char *from = word; *from; from++) {
		unsigned byte;
		if (*from == '%' && sscanf(from + 1, "%2x", &byte) == 1) {
			*to++ = (char)byte;
			from += 2;
		} else {
			*to++ = *from;
		}
	}
	*to = '\0';
}

static bool parse_prefix(struct job *j, const char *word)
{
	if (word[0] == '@')
		j->tag = word + 1;
	else if (strncmp(word, "within:", 7) == 0)
		j->ctx.deadline = clock_monotonic() + atoll(word + 7) * NS_PER_MS;
	else if (strcmp(word, "background") == 0)
		j->ctx.background = true;
	else if (strcmp(word, "lasting") == 0)
		j->ctx.background = j->ctx.lasting = true;
	else
		return false;
	return true;
}

/* Takes ownership of line; NULL when out of memory or when the line has no operation. */
static struct job *parse_job(struct drive *d, char *line)
{
	struct job *j = calloc(1, sizeof *j);
	char **words = calloc(WORDS_MAX, sizeof *words);
	int n = 0, first = 0;

	for (char *at = line, *word; words && (word = strsep(&at, " ")) && n < WORDS_MAX;)
		words[n++] = word;
	if (!j || !words) {
		free(j);
		free(words);
		free(line);
		return NULL;
	}
	*j = (struct job){
		.drive = d, .line = line, .words = words, .ctx = opctx_for(OPCTX_FOREVER)};
	buf_init(&j->out, ANSWER_MAX);
	while (first < n - 1 && parse_prefix(j, words[first]))
		first++;
	j->argv = words + first + 1;
	j->argc = n - first - 1;
	for (int i = 0; i < j->argc; i++)
		decode(j->argv[i]);
	return j;
}

static void run_script(struct drive *d)
{
	char *line = NULL;
	size_t size = 0;

	while (getline(&line, &size, stdin) > 0) {
		line[strcspn(line, "\n")] = '\0';
		struct job *j = parse_job(d, line);
		line = NULL;
		size = 0;
		if (!j)
			break;
		if (!j->tag || d->nthreads == THREADS_MAX)
			run_job(j);
		else if (pthread_create(&d->threads[d->nthreads], NULL, run_job, j) == 0)
			d->nthreads++;
	}
	free(line);
	for (size_t i = 0; i < d->nthreads; i++)
		pthread_join(d->threads[i], NULL);
	for (size_t i = 0; i < STREAMS_MAX; i++)
		if (d->streams[i])
			stream_close(d->streams[i]);
}

static enum active_mode active_mode(const char *word)
{
	return strcmp(word, "on") == 0	  ? ACTIVE_ON
	       : strcmp(word, "off") == 0 ? ACTIVE_OFF
					  : ACTIVE_AUTO;
}

static enum tls_mode tls_mode(const char *word)
{
	return strcmp(word, "require") == 0 ? TLS_REQUIRE
	       : strcmp(word, "try") == 0   ? TLS_TRY
					    : TLS_OFF;
}

/* The options with a word, and where it goes. */
static int set_option(struct ftp_conf *conf, int option, char *word)
{
	struct login_conf *login = &conf->login;
	char **texts[] = {['u'] = &login->user, ['p'] = &login->password, ['a'] = &login->account,
			  ['d'] = &conf->dir,	['C'] = &login->cacert,	  ['~'] = NULL};

	if (texts[option])
		*texts[option] = word;
	else if (option == 'n')
		conf->max_conns = (unsigned)atoi(word);
	else if (option == 't')
		login->timeout = atoll(word) * NS_PER_MS;
	else if (option == 'c')
		login->connect_timeout = atoll(word) * NS_PER_MS;
	else if (option == 's')
		login->tls = tls_mode(word);
	else if (option == 'A')
		conf->active = active_mode(word);
	else if (option == 'k')
		login->insecure = true;
	else if (option == 'i')
		login->implicit_tls = true;
	else if (option == 'v')
		log_set_level(LOG_LEVEL_DEBUG);
	else
		return -EINVAL;
	return 0;
}

static int parse_options(struct ftp_conf *conf, int argc, char **argv)
{
	for (int option; (option = getopt(argc, argv, "u:p:a:d:n:t:c:s:C:A:kiv")) != -1;)
		if (set_option(conf, option, optarg) != 0)
			return -EINVAL;
	if (argc - optind != 2)
		return -EINVAL;
	conf->login.host = argv[optind];
	conf->login.port = (uint16_t)atoi(argv[optind + 1]);
	return 0;
}

static int create(struct drive *d, const struct ftp_conf *conf)
{
	static const char *const FAILURES[] = {
		[LOGIN_OK] = "OK",
		[LOGIN_NO_HOST] = "NO_HOST",
		[LOGIN_NO_CONNECT] = "NO_CONNECT",
		[LOGIN_NO_TLS] = "NO_TLS",
		[LOGIN_BAD_CERT] = "BAD_CERT",
		[LOGIN_BAD_CACERT] = "BAD_CACERT",
		[LOGIN_REFUSED] = "REFUSED",
		[LOGIN_OOPS] = "OOPS",
		[LOGIN_TOO_MANY] = "TOO_MANY",
		[LOGIN_NOT_FTP] = "NOT_FTP",
		[LOGIN_NO_DIR] = "NO_DIR",
		[LOGIN_NOT_A_DIR] = "NOT_A_DIR",
		[LOGIN_INTERNAL] = "INTERNAL",
	};
	enum login_failure failure = LOGIN_OK;
	struct opctx ctx = opctx_for(OPCTX_FOREVER);
	struct buf why, out;

	buf_init(&why, 4096);
	buf_init(&out, 1 << 16);
	int rc = remote_ftp_create(conf, &d->remote, &failure, &why, &ctx);
	buf_adds(&out, "{\"op\": \"create\"");
	add_error(&out, rc);
	add_field(&out, "failure", FAILURES[failure]);
	add_field(&out, "why", buf_text(&why));
	buf_adds(&out, "}");
	print(d, &out);
	buf_free(&why);
	buf_free(&out);
	return rc;
}

int main(int argc, char **argv)
{
	static char nowhere[] = "";
	struct ftp_conf conf = {
		.login = {.connect_timeout = 10 * NS_PER_S, .timeout = 10 * NS_PER_S},
		.dir = nowhere,
		.max_conns = 4,
	};
	struct drive d = {.mutex = MUTEX_INITIALIZER};
	const char *why = "";

	if (parse_options(&conf, argc, argv) != 0 || login_init(&why) != 0) {
		fprintf(stderr, "usage: ftpdrive [options] HOST PORT < script %s\n", why);
		return 2;
	}
	if (create(&d, &conf) != 0)
		return 1;
	run_script(&d);
	remote_destroy(d.remote);
	return 0;
}
