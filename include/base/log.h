/* log - one line per event, to stderr (foreground) or syslog (daemon).
 *
 * Any thread; a leaf lock inside.  Nothing secret is ever given to it: commands go through
 * log_command(), which hides the argument of PASS and ACCT.  A message is one line: control
 * characters from a server are shown as \xNN, so that a reply cannot forge a log line or drive a
 * terminal. */
#ifndef FTPFS_BASE_LOG_H
#define FTPFS_BASE_LOG_H

#include <stdbool.h>

enum log_level { LOG_LEVEL_ERROR, LOG_LEVEL_WARN, LOG_LEVEL_INFO, LOG_LEVEL_DEBUG };

void log_set_level(enum log_level level); /* default: LOG_LEVEL_WARN */
void log_to_syslog(void);		  /* from now on; before: stderr, as "ftpfs: message" */
bool log_on(enum log_level level);

void log_error(const char *format, ...) __attribute__((format(printf, 1, 2)));
void log_warn(const char *format, ...) __attribute__((format(printf, 1, 2)));
void log_info(const char *format, ...) __attribute__((format(printf, 1, 2)));
void log_debug(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Debug trace of one FTP line on session `id`: direction '>' or '<'.  PASS and ACCT are masked. */
void log_command(unsigned id, char direction, const char *line);

#endif
