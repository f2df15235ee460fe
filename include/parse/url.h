/* parse/url - the URL of a mount: [ftp://|ftps://][user[:password]@]host[:port][/dir] (RFC 1738
 * section 3.2).
 *
 * "/dir" is relative to the login directory; "//dir" and "/%2Fdir" are absolute.  IPv6 addresses
 * stand in brackets.  user, password and dir are percent-decoded. */
#ifndef FTPFS_PARSE_URL_H
#define FTPFS_PARSE_URL_H

#include <stdbool.h>
#include <stdint.h>

struct url {
	bool implicit_tls; /* ftps:// */
	char *user;	   /* NULL: not given */
	char *password;	   /* NULL: not given; wiped by url_free() */
	char *host;	   /* without brackets; never empty */
	bool ipv6_literal;
	uint16_t port; /* 0: the scheme's default (21, 990) */
	char *dir; /* decoded; "" or "a/b" relative, "/a/b" absolute; normalised, no trailing slash
		    */
};

/* 0, -EINVAL with a one-line reason in *why (a static string), -ENOMEM. */
int url_parse(const char *text, struct url *out, const char **why);
void url_free(struct url *u);

#endif
