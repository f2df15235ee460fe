/* values - the text of an option -> a number; pure but for the user and group databases. */
#ifndef FTPFS_VALUES_H
#define FTPFS_VALUES_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* Each returns 0, or -EINVAL for text that is not exactly one such value. */
int value_number(const char *text, uint64_t low, uint64_t high, uint64_t *out);
int value_seconds(const char *text, int64_t *ns); /* whole seconds, at most a year */
int value_size(const char *text, int64_t *bytes); /* with or without k, M, G (powers of 1024) */
int value_umask(const char *text, mode_t *out);	  /* octal, at most 0777 */
int value_uid(const char *text, uid_t *out);	  /* number or name */
int value_gid(const char *text, gid_t *out);
/* Which of "one|two|three" (at most 8 words): its index, or -EINVAL. */
int value_choice(const char *text, const char *words);

/* How many letters must be changed, added, removed or swapped with their neighbour; words longer
 * than 40 letters are as far as can be. */
unsigned word_distance(const char *a, const char *b);

#endif
