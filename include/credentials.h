/* credentials - where a password may come from, and how it leaves no trace.
 *
 * Nothing here logs a password or a user's line of a file.  Strings are allocated; a password is
 * given back to secret_free(), which wipes it. */
#ifndef FTPFS_CREDENTIALS_H
#define FTPFS_CREDENTIALS_H

#include <stdbool.h>

enum { PASSWORD_LIMIT = 1024 };

void secret_free(char *secret); /* NULL is fine */

/* The user part of a URL as it was typed: true and its bounds ("user:password" without the '@'). */
bool credentials_in_url(const char *url, const char **from, const char **to);
/* Overwrite the password in a URL with '*', in place (it is argv, which anybody can read). */
void credentials_scrub(char *url);

/* FTPFS_PASSWORD, taken out of the environment; NULL: not set, or out of memory. */
char *credentials_from_env(void);
/* One line of descriptor `fd` and not a byte more.  0 or -errno (-ENODATA: nothing there). */
int credentials_from_line(int fd, char **password);
/* A file as mount.cifs has it: username=, password=, lines of '#'.  It must be a regular file of
 * ours that nobody else may read.  What it does not say stays NULL.  0, or -errno after one line in
 * the log. */
int credentials_from_file(const char *path, char **user, char **password);

bool credentials_netrc_exists(void); /* ~/.netrc: libcurl will look there */
bool credentials_can_ask(void);	     /* is there a terminal? */
/* Ask on the terminal, without echo.  0, -EINTR (^C), -ENXIO: no terminal, -errno. */
int credentials_ask(const char *prompt, char **password);

#endif
