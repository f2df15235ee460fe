/* parse/url - the URL of a mount: [ftp://|ftps://][user[:password]@]host[:port][/dir]. */
#include "parse/url.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/path.h"

#define ZONE_CHARACTERS "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._"

enum { URL_MAX = 8192, HOST_MAX = 255 };

static int invalid(const char **why, const char *reason)
{
	*why = reason;
	return -EINVAL;
}

/* Decodes into memory of its final size: no realloc leaves a copy of a password behind. */
static int decode(const char *text, size_t n, char **out, const char **why)
{
	struct buf b;
	int error;

	buf_init(&b, n);
	if (!buf_room(&b, n))
		return buf_error(&b);
	error = path_percent_decode(&b, text, n);
	if (!error) {
		*out = b.data;
		return 0;
	}
	explicit_bzero(b.data, b.cap);
	buf_free(&b);
	return error == -EINVAL ? invalid(why, "bad %-escape, or a control character") : error;
}

static int take_scheme(const char **at, struct url *u, const char **why)
{
	const char *mark = strstr(*at, "://");
	size_t len = mark ? (size_t)(mark - *at) : 0;

	/* "://" further on is part of a directory. */
	if (!mark || memchr(*at, '/', len) || memchr(*at, '@', len))
		return 0;
	if (len == 4 && strncasecmp(*at, "ftps", 4) == 0)
		u->implicit_tls = true;
	else if (len != 3 || strncasecmp(*at, "ftp", 3) != 0)
		return invalid(why, "the scheme must be ftp:// or ftps://");
	*at = mark + 3;
	return 0;
}

/* user[:password]: the first ':' ends the user, so a password may hold more of them. */
static int take_login(const char *at, size_t n, struct url *u, const char **why)
{
	const char *colon = memchr(at, ':', n);
	size_t user_len = colon ? (size_t)(colon - at) : n;
	int error;

	if (user_len == 0)
		return invalid(why, "no user name before '@'");
	error = decode(at, user_len, &u->user, why);
	if (!error && colon)
		error = decode(colon + 1, n - user_len - 1, &u->password, why);
	return error;
}

static int take_port(const char *at, size_t n, struct url *u, const char **why)
{
	unsigned long port = 0;

	if (n == 0)
		return 0;
	for (size_t i = 0; i < n; i++) {
		if (at[i] < '0' || at[i] > '9' || port > UINT16_MAX)
			return invalid(why, "the port must be a number from 1 to 65535");
		port = port * 10 + (unsigned long)(at[i] - '0');
	}
	if (port < 1 || port > UINT16_MAX)
		return invalid(why, "the port must be a number from 1 to 65535");
	u->port = (uint16_t)port;
	return 0;
}

/* An address, maybe with the zone of a link-local one: fe80::1%25eth0. */
static bool is_ipv6(const char *host)
{
	char address[INET6_ADDRSTRLEN];
	struct in6_addr out;
	size_t n = strcspn(host, "%");

	const char *zone = host + n + (host[n] == '%');

	if (n >= sizeof(address) || (host[n] == '%' && *zone == '\0') ||
	    zone[strspn(zone, ZONE_CHARACTERS)] != '\0')
		return false;
	memcpy(address, host, n);
	address[n] = '\0';
	return inet_pton(AF_INET6, address, &out) == 1;
}

static int check_host(const char *host, const char **why)
{
	if (*host == '\0')
		return invalid(why, "no host name");
	if (strlen(host) > HOST_MAX)
		return invalid(why, "the host name is too long");
	for (; *host; host++)
		if ((unsigned char)*host <= ' ' || *host == 0x7f ||
		    strchr("[]:/@%\"<>\\^`{|}?#", *host))
			return invalid(why, "a character that cannot stand in a host name");
	return 0;
}

static int take_host(const char *at, size_t n, struct url *u, const char **why)
{
	const char *end = at + n;
	const char *host_end = memchr(at, ':', n);
	int error;

	u->ipv6_literal = n && *at == '[';
	if (u->ipv6_literal) {
		at++;
		host_end = memchr(at, ']', n - 1);
		if (!host_end)
			return invalid(why, "'[' without ']'");
	} else if (!host_end) {
		host_end = end;
	}
	error = decode(at, (size_t)(host_end - at), &u->host, why);
	if (error)
		return error;
	if (u->ipv6_literal && !is_ipv6(u->host))
		return invalid(why, "not an IPv6 address in brackets");
	if (!u->ipv6_literal && check_host(u->host, why))
		return -EINVAL;
	host_end += u->ipv6_literal;
	if (host_end == end)
		return 0;
	if (*host_end != ':')
		return invalid(why, "something other than a port behind the host");
	return take_port(host_end + 1, (size_t)(end - host_end - 1), u, why);
}

/* at: "" or what follows the host, from its '/' on.  That '/' is the URL's, not the path's. */
static int take_dir(const char *at, struct url *u, const char **why)
{
	struct buf dir;
	char *decoded;
	int error;

	if (*at == '/')
		at++;
	error = decode(at, strlen(at), &decoded, why);
	if (error)
		return error;
	buf_init(&dir, PATH_LIMIT + 1);
	buf_adds(&dir, "");
	error = buf_error(&dir);
	if (!error)
		error = path_normalise(&dir, decoded);
	free(decoded);
	if (error)
		buf_free(&dir);
	else
		u->dir = dir.data;
	return error == -ENAMETOOLONG ? invalid(why, "the directory is too long") : error;
}

static int parse(const char *at, struct url *u, const char **why)
{
	size_t n;
	const char *login_end;
	int error;

	if (strnlen(at, URL_MAX + 1) > URL_MAX)
		return invalid(why, "the URL is too long");
	error = take_scheme(&at, u, why);
	if (error)
		return error;
	n = strcspn(at, "/");
	login_end = memrchr(at, '@', n); /* the last: passwords are often not encoded */
	if (login_end) {
		size_t login_len = (size_t)(login_end - at);

		error = take_login(at, login_len, u, why);
		at += login_len + 1;
		n -= login_len + 1;
	}
	if (!error)
		error = take_host(at, n, u, why);
	return error ? error : take_dir(at + n, u, why);
}

int url_parse(const char *text, struct url *out, const char **why)
{
	int error;

	memset(out, 0, sizeof(*out));
	*why = NULL;
	error = parse(text, out, why);
	if (error)
		url_free(out);
	return error;
}

void url_free(struct url *u)
{
	if (u->password)
		explicit_bzero(u->password, strlen(u->password));
	free(u->user);
	free(u->password);
	free(u->host);
	free(u->dir);
	memset(u, 0, sizeof(*u));
}
