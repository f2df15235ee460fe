/* ftp/login - opens a control connection and logs in, with libcurl: name resolution, TCP, TLS,
 * certificate check, AUTH/PBSZ/PROT (RFC 4217), USER/PASS/ACCT (RFC 959 section 4.1.1), ~/.netrc.
 */
#ifndef FTPFS_FTP_LOGIN_H
#define FTPFS_FTP_LOGIN_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/opctx.h"

enum tls_mode {
	TLS_OFF,
	TLS_TRY, /* clear text if the server has no TLS; never once it had */
	TLS_REQUIRE,
};

struct login_conf {
	char *host;
	bool ipv6_literal;
	uint16_t port;	   /* 0: default of the scheme */
	bool implicit_tls; /* ftps:// */
	enum tls_mode tls;
	bool insecure;		 /* do not check the certificate */
	char *cacert;		 /* PEM file; NULL: the system's */
	char *user;		 /* NULL: what ~/.netrc says for the host, else anonymous */
	char *password;		 /* NULL: what ~/.netrc says, else empty */
	char *account;		 /* for a 332 reply; NULL: none */
	int64_t connect_timeout; /* ns, for all of connecting and logging in */
	int64_t timeout; /* ns without any progress on a connection; includes waiting for a reply */
};

/* Why a first login failed: the reason a user can act on. */
enum login_failure {
	LOGIN_OK,
	LOGIN_NO_HOST,	  /* cannot resolve */
	LOGIN_NO_CONNECT, /* refused, unreachable, timed out */
	LOGIN_NO_TLS,	  /* TLS refused or failed */
	LOGIN_BAD_CERT,
	LOGIN_BAD_CACERT, /* no certificate in the file that login_conf names */
	LOGIN_REFUSED,	  /* user or password */
	LOGIN_OOPS,	  /* the server cannot go on, and says why (vsftpd's configuration) */
	LOGIN_TOO_MANY,	  /* the server's limit of connections */
	LOGIN_NOT_FTP,	  /* something else answers there */
	LOGIN_NO_DIR,	  /* the directory of the URL is missing */
	LOGIN_NOT_A_DIR,
	LOGIN_INTERNAL, /* libcurl of the wrong flavour, out of memory */
};

/* Once, before any thread: checks that libcurl is the OpenSSL flavour and new enough.  0, or
 * -EOPNOTSUPP with a line for the user in *why. */
int login_init(const char **why);

/* libcurl's name and version, and those of what it is built with. */
const char *login_library(void);

struct login; /* a logged-in control connection: libcurl's handle and the socket under it */

/* 0 and *out; or -errno, *failure, and one line for the user (the server's own words included) in
 * *why.  `greeting` receives the text of the 220. */
int login_open(const struct login_conf *conf, struct login **out, struct buf *greeting,
	       enum login_failure *failure, struct buf *why, const struct opctx *ctx);
void login_close(struct login *l); /* no QUIT: never blocks */
int login_fd(const struct login *l);
/* Bytes now, 0: none yet (poll), -ECONNRESET: closed. */
long login_recv(struct login *l, void *to, size_t n);
/* Bytes taken, 0: no room (what is sent next must begin with the same n bytes), -ECONNRESET. */
long login_send(struct login *l, const void *from, size_t n);
/* Hold back packets that are not full, until it is taken away. */
void login_cork(struct login *l, bool on);
bool login_tls(const struct login *l); /* is the control connection under TLS? */
/* Its SSL *: libcurl tells only after the first login_send() or login_recv().  NULL: not yet, or in
 * the clear. */
void *login_ssl(struct login *l);
const char *
login_entry_path(const struct login *l); /* PWD after login, "/" if the server did not say */

#endif
