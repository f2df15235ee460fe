/* ftp/login - a control connection, opened and logged in by libcurl */
#include "ftp/login.h"

#include <curl/curl.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/ssl.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "base/log.h"
#include "ftp/errmap.h"

enum { DIALOGUE_MAX = 64 << 10 }; /* what a server may say before we are logged in */

struct login {
	CURL *curl;
	int fd;
	bool tls;
	char *entry_path;
};

/* What the callbacks of one attempt see. */
struct attempt {
	const struct opctx *ctx;
	struct buf said; /* every line of the server so far */
};

int login_init(const char **why)
{
	if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK) {
		*why = "libcurl cannot be initialised";
		return -EOPNOTSUPP;
	}
	const curl_version_info_data *v = curl_version_info(CURLVERSION_NOW);
	if (v->version_num < 0x074b00) {
		*why = "libcurl is too old: 7.75 or newer is needed";
		return -EOPNOTSUPP;
	}
	/* Data connections resume the control connection's TLS session with OpenSSL's own calls. */
	if (!v->ssl_version || strncmp(v->ssl_version, "OpenSSL", 7) != 0) {
		*why = "libcurl is not the OpenSSL flavour: install libcurl4 (not libcurl3-gnutls)";
		return -EOPNOTSUPP;
	}
	return 0;
}

const char *login_library(void)
{
	return curl_version();
}

static size_t on_header(char *line, size_t size, size_t n, void *arg)
{
	struct attempt *a = arg;

	(void)buf_add(&a->said, line, size * n);
	return size * n;
}

static int on_progress(void *arg, curl_off_t a, curl_off_t b, curl_off_t c, curl_off_t d)
{
	struct attempt *attempt = arg;

	(void)a, (void)b, (void)c, (void)d;
	return opctx_check(attempt->ctx) != 0;
}

static int on_debug(CURL *curl, curl_infotype type, char *data, size_t n, void *arg)
{
	char line[256];
	size_t len = n < sizeof line - 1 ? n : sizeof line - 1;

	(void)curl, (void)arg;
	if (type != CURLINFO_HEADER_IN && type != CURLINFO_HEADER_OUT)
		return 0;
	memcpy(line, data, len);
	line[len] = '\0';
	line[strcspn(line, "\r\n")] = '\0';
	log_command(0, type == CURLINFO_HEADER_OUT ? '>' : '<', line);
	return 0;
}

/* libcurl reads ~/.netrc for a user in the URL, but not for one given by CURLOPT_USERNAME. */
static void add_user(CURL *curl, struct buf *url, const char *user)
{
	char *escaped = curl_easy_escape(curl, user, 0);

	buf_addf(url, "%s@", escaped ? escaped : "");
	curl_free(escaped);
}

static int set_url(CURL *curl, const struct login_conf *conf)
{
	struct buf url;
	bool bracket = conf->ipv6_literal;

	buf_init(&url, 4096);
	buf_addf(&url, "%s://", conf->implicit_tls ? "ftps" : "ftp");
	if (conf->user && !conf->password)
		add_user(curl, &url, conf->user);
	buf_addf(&url, "%s%s%s", bracket ? "[" : "", conf->host, bracket ? "]" : "");
	if (conf->port)
		buf_addf(&url, ":%u", conf->port);
	buf_adds(&url, "/");
	int rc = buf_error(&url);
	if (rc == 0 && curl_easy_setopt(curl, CURLOPT_URL, buf_text(&url)) != CURLE_OK)
		rc = -ENOMEM;
	buf_free(&url);
	return rc;
}

static void set_credentials(CURL *curl, const struct login_conf *conf)
{
	if (conf->password) {
		curl_easy_setopt(curl, CURLOPT_USERNAME, conf->user ? conf->user : "anonymous");
		curl_easy_setopt(curl, CURLOPT_PASSWORD, conf->password);
	} else {
		curl_easy_setopt(curl, CURLOPT_NETRC, (long)CURL_NETRC_OPTIONAL);
	}
	if (conf->account)
		curl_easy_setopt(curl, CURLOPT_FTP_ACCOUNT, conf->account);
}

/* What did not fit is sent again, from wherever the rest of the queue then lies. */
static CURLcode on_tls_context(CURL *curl, void *ctx, void *arg)
{
	(void)curl, (void)arg;
	SSL_CTX_set_mode(ctx, SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
	return CURLE_OK;
}

static void set_tls(CURL *curl, const struct login_conf *conf, bool tls)
{
	curl_easy_setopt(curl, CURLOPT_USE_SSL, (long)(tls ? CURLUSESSL_ALL : CURLUSESSL_NONE));
	curl_easy_setopt(curl, CURLOPT_FTPSSLAUTH, (long)CURLFTPAUTH_TLS);
	curl_easy_setopt(curl, CURLOPT_SSL_VERIFYPEER, conf->insecure ? 0L : 1L);
	curl_easy_setopt(curl, CURLOPT_SSL_VERIFYHOST, conf->insecure ? 0L : 2L);
	if (conf->cacert)
		curl_easy_setopt(curl, CURLOPT_CAINFO, conf->cacert);
	curl_easy_setopt(curl, CURLOPT_SSL_CTX_FUNCTION, on_tls_context);
	/* Sessions are resumed by us, per connection; a shared cache is what breaks ProFTPD. */
	curl_easy_setopt(curl, CURLOPT_SSL_SESSIONID_CACHE, 0L);
}

static void set_limits(CURL *curl, const struct login_conf *conf, struct attempt *a)
{
	long ms = (long)(conf->connect_timeout / NS_PER_MS);

	curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT_MS, ms);
	curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, ms);
	curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(curl, CURLOPT_NOPROGRESS, 0L);
	curl_easy_setopt(curl, CURLOPT_XFERINFOFUNCTION, on_progress);
	curl_easy_setopt(curl, CURLOPT_XFERINFODATA, a);
	curl_easy_setopt(curl, CURLOPT_HEADERFUNCTION, on_header);
	curl_easy_setopt(curl, CURLOPT_HEADERDATA, a);
}

static CURL *prepare(const struct login_conf *conf, bool tls, struct attempt *a)
{
	CURL *curl = curl_easy_init();

	if (!curl)
		return NULL;
	if (set_url(curl, conf) != 0) {
		curl_easy_cleanup(curl);
		return NULL;
	}
	curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "ftp,ftps");
	curl_easy_setopt(curl, CURLOPT_CONNECT_ONLY, 1L);
	curl_easy_setopt(curl, CURLOPT_TCP_KEEPALIVE, 1L);
	set_credentials(curl, conf);
	set_tls(curl, conf, tls);
	set_limits(curl, conf, a);
	if (log_on(LOG_LEVEL_DEBUG)) {
		curl_easy_setopt(curl, CURLOPT_VERBOSE, 1L);
		curl_easy_setopt(curl, CURLOPT_DEBUGFUNCTION, on_debug);
	}
	return curl;
}

/* The last line the server said, without its end; "" when it said nothing. */
static void last_line(const struct buf *said, char *out, size_t size)
{
	const char *text = buf_text(said), *end = text + said->len;

	while (end > text && (end[-1] == '\r' || end[-1] == '\n'))
		end--;
	const char *start = end;
	while (start > text && start[-1] != '\n')
		start--;
	size_t n = (size_t)(end - start) < size - 1 ? (size_t)(end - start) : size - 1;
	memcpy(out, start, n);
	out[n] = '\0';
}

static bool speaks_ftp(const struct buf *said)
{
	const char *t = buf_text(said);

	return said->len >= 4 && t[0] >= '1' && t[0] <= '5' && t[1] >= '0' && t[1] <= '9' &&
	       t[2] >= '0' && t[2] <= '9' && (t[3] == ' ' || t[3] == '-');
}

struct verdict {
	CURLcode code;
	int error;
	enum login_failure failure;
};

/* libcurl's codes that mean one thing whatever the server said. */
static const struct verdict VERDICTS[] = {
	{CURLE_COULDNT_RESOLVE_HOST, -EHOSTUNREACH, LOGIN_NO_HOST},
	{CURLE_COULDNT_CONNECT, -ECONNREFUSED, LOGIN_NO_CONNECT},
	{CURLE_PEER_FAILED_VERIFICATION, -EACCES, LOGIN_BAD_CERT},
	{CURLE_SSL_CACERT_BADFILE, -EACCES, LOGIN_BAD_CACERT},
	{CURLE_SSL_ISSUER_ERROR, -EACCES, LOGIN_BAD_CERT},
	{CURLE_SSL_CONNECT_ERROR, -EPROTO, LOGIN_NO_TLS},
	{CURLE_USE_SSL_FAILED, -EPROTO, LOGIN_NO_TLS},
	{CURLE_SSL_CIPHER, -EPROTO, LOGIN_NO_TLS},
	{CURLE_LOGIN_DENIED, -EACCES, LOGIN_REFUSED},
	{CURLE_OUT_OF_MEMORY, -ENOMEM, LOGIN_INTERNAL},
	{CURLE_FAILED_INIT, -ENOMEM, LOGIN_INTERNAL},
	{CURLE_RECV_ERROR, -ECONNRESET, LOGIN_NO_CONNECT},
	{CURLE_SEND_ERROR, -ECONNRESET, LOGIN_NO_CONNECT},
};

static bool connected(CURL *curl)
{
	curl_off_t microseconds = 0;

	return curl_easy_getinfo(curl, CURLINFO_CONNECT_TIME_T, &microseconds) == CURLE_OK &&
	       microseconds > 0;
}

/* A time-out or a strange reply: what had been said until then decides. */
static struct verdict judge_silence(CURL *curl, const struct attempt *a, CURLcode code)
{
	struct verdict v = {code, -ETIMEDOUT, LOGIN_NO_CONNECT};

	if (a->said.len > 0 ? !speaks_ftp(&a->said) : code != CURLE_OPERATION_TIMEDOUT) {
		v.error = -EPROTO;
		v.failure = LOGIN_NOT_FTP;
	} else if (a->said.len == 0 && connected(curl)) {
		v.failure = LOGIN_NOT_FTP;
	}
	return v;
}

static struct verdict judge(CURL *curl, const struct attempt *a, CURLcode code, const char *line)
{
	if (errmap_too_many(line) && (strncmp(line, "421", 3) == 0 || strncmp(line, "530", 3) == 0))
		return (struct verdict){code, -EAGAIN, LOGIN_TOO_MANY};
	if (strncmp(line, "421", 3) == 0)
		return (struct verdict){code, -ECONNREFUSED, LOGIN_NO_CONNECT};
	/* Its words are for who mounts; where there was a session before it is like a lost link. */
	if (strncmp(line, "500 ", 4) == 0 && errmap_farewell(500, line + 4))
		return (struct verdict){code, -ECONNREFUSED, LOGIN_OOPS};
	if (a->said.len > 0 && !speaks_ftp(&a->said))
		return judge_silence(curl, a, code);
	for (size_t i = 0; i < sizeof VERDICTS / sizeof VERDICTS[0]; i++)
		if (VERDICTS[i].code == code)
			return VERDICTS[i];
	return judge_silence(curl, a, code);
}

/* "Connection refused" says more than "Couldn't connect to server". */
static const char *system_reason(CURL *curl, CURLcode code)
{
	long error = 0;

	if (code == CURLE_COULDNT_CONNECT)
		curl_easy_getinfo(curl, CURLINFO_OS_ERRNO, &error);
	return error ? strerrordesc_np((int)error) : curl_easy_strerror(code);
}

static int explain(CURL *curl, const struct attempt *a, CURLcode code, enum login_failure *failure,
		   struct buf *why)
{
	char line[256];

	if (code == CURLE_ABORTED_BY_CALLBACK && opctx_check(a->ctx) != 0) {
		*failure = LOGIN_NO_CONNECT;
		buf_adds(why, "interrupted");
		return opctx_check(a->ctx);
	}
	last_line(&a->said, line, sizeof line);
	struct verdict v = judge(curl, a, code, line);
	*failure = v.failure;
	if (v.failure == LOGIN_REFUSED || v.failure == LOGIN_OOPS || v.failure == LOGIN_TOO_MANY ||
	    (v.failure == LOGIN_NO_CONNECT && a->said.len > 0))
		buf_addf(why, "%s", *line ? line : curl_easy_strerror(code));
	else
		buf_addf(why, "%s", system_reason(curl, code));
	return v.error;
}

static struct login *adopt(CURL *curl, bool tls)
{
	struct login *l = calloc(1, sizeof *l);
	curl_socket_t fd = CURL_SOCKET_BAD;
	const char *path = NULL;

	if (!l)
		return NULL;
	curl_easy_getinfo(curl, CURLINFO_ACTIVESOCKET, &fd);
	curl_easy_getinfo(curl, CURLINFO_FTP_ENTRY_PATH, &path);
	l->entry_path = strdup(path && *path == '/' ? path : "/");
	if (fd == CURL_SOCKET_BAD || !l->entry_path) {
		free(l->entry_path);
		free(l);
		return NULL;
	}
	l->curl = curl;
	l->fd = fd;
	l->tls = tls;
	/* The limits were for logging in; from here on session_poll() sets them. */
	curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, 0L);
	curl_easy_setopt(curl, CURLOPT_NOPROGRESS, 1L);
	curl_easy_setopt(curl, CURLOPT_VERBOSE, 0L);
	curl_easy_setopt(curl, CURLOPT_HEADERFUNCTION, NULL);
	curl_easy_setopt(curl, CURLOPT_HEADERDATA, NULL);
	return l;
}

static void take_greeting(const struct buf *said, struct buf *greeting)
{
	const char *text = buf_text(said);

	while (strncmp(text, "220", 3) == 0) {
		size_t n = strcspn(text, "\n");
		n += text[n] == '\n';
		(void)buf_add(greeting, text + (n < 4 ? n : 4), n < 4 ? 0 : n - 4);
		text += n;
	}
}

static int attempt_login(const struct login_conf *conf, bool tls, struct login **out,
			 struct buf *greeting, CURLcode *code, enum login_failure *failure,
			 struct buf *why, const struct opctx *ctx)
{
	struct attempt a = {.ctx = ctx};
	int rc = 0;

	buf_init(&a.said, DIALOGUE_MAX);
	CURL *curl = prepare(conf, tls, &a);
	if (!curl) {
		*code = CURLE_OUT_OF_MEMORY;
		*failure = LOGIN_INTERNAL;
		return -ENOMEM;
	}
	*code = curl_easy_perform(curl);
	if (*code != CURLE_OK) {
		rc = explain(curl, &a, *code, failure, why);
	} else if (!(*out = adopt(curl, tls))) {
		*failure = LOGIN_INTERNAL;
		rc = -ENOMEM;
	} else {
		take_greeting(&a.said, greeting);
	}
	if (rc != 0)
		curl_easy_cleanup(curl);
	buf_free(&a.said);
	return rc;
}

int login_open(const struct login_conf *conf, struct login **out, struct buf *greeting,
	       enum login_failure *failure, struct buf *why, const struct opctx *ctx)
{
	CURLcode code;
	bool tls = conf->implicit_tls || conf->tls != TLS_OFF;

	*failure = LOGIN_OK;
	int rc = attempt_login(conf, tls, out, greeting, &code, failure, why, ctx);
	/* Only a server that said no to AUTH is tried in the clear; a failed handshake is an attack
	 * or a misconfiguration, and falling back would give the password away. */
	if (rc != 0 && code == CURLE_USE_SSL_FAILED && conf->tls == TLS_TRY &&
	    !conf->implicit_tls) {
		log_warn("%s has no TLS: logging in without it (tls=try)", conf->host);
		buf_reset(why);
		*failure = LOGIN_OK;
		rc = attempt_login(conf, false, out, greeting, &code, failure, why, ctx);
	}
	return rc;
}

void login_close(struct login *l)
{
	if (!l)
		return;
	/* Without this libcurl would send QUIT and wait for its reply. */
	shutdown(l->fd, SHUT_RDWR);
	curl_easy_cleanup(l->curl);
	free(l->entry_path);
	free(l);
}

int login_fd(const struct login *l)
{
	return l->fd;
}

long login_recv(struct login *l, void *to, size_t n)
{
	size_t got = 0;
	int on = 1;
	CURLcode code = curl_easy_recv(l->curl, to, n, &got);

	if (code == CURLE_AGAIN)
		return 0;
	if (code != CURLE_OK || got == 0)
		return -ECONNRESET;
	/* Servers that write a reply in two pieces wait for our ACK of the first; a delayed one
	 * costs 40 ms. */
	setsockopt(l->fd, IPPROTO_TCP, TCP_QUICKACK, &on, sizeof on);
	return (long)got;
}

long login_send(struct login *l, const void *from, size_t n)
{
	size_t sent = 0;
	CURLcode code = curl_easy_send(l->curl, from, n, &sent);

	if (code == CURLE_AGAIN)
		return 0;
	return code == CURLE_OK ? (long)sent : -ECONNRESET;
}

void login_cork(struct login *l, bool on)
{
	int value = on;

	setsockopt(l->fd, IPPROTO_TCP, TCP_CORK, &value, sizeof value);
}

bool login_tls(const struct login *l)
{
	return l->tls;
}

void *login_ssl(struct login *l)
{
	struct curl_tlssessioninfo *info = NULL;

	if (curl_easy_getinfo(l->curl, CURLINFO_TLS_SSL_PTR, &info) != CURLE_OK || !info)
		return NULL;
	return info->backend == CURLSSLBACKEND_OPENSSL ? info->internals : NULL;
}

const char *login_entry_path(const struct login *l)
{
	return l->entry_path;
}
