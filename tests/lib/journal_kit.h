/* journal_kit - a cache directory of a test, and promises in short. */
#ifndef FTPFS_TESTS_JOURNAL_KIT_H
#define FTPFS_TESTS_JOURNAL_KIT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "fs/journal.h"

/* In memory, where there is such a place: the tests sync a lot. */
extern char kit_cache[64];
extern const char *const kit_target;

/* For cmocka: around all tests; before each, which begins with nothing. */
int kit_make_cache(void **unused);
int kit_remove_cache(void **unused);
int kit_empty_cache(void **unused);

/* Closed (if not NULL), and opened again, which works. */
struct journal *kit_reopen(struct journal *j);
/* Paths in the target's directory; static, four at a time. */
const char *kit_in_dir(const struct journal *j, const char *name);
const char *kit_spool_path(const struct journal *j, uint64_t id);
void kit_touch(const char *path);
int64_t kit_file_size(const char *path);
int kit_count_files(const struct journal *j, const char *prefix);
char *kit_read_file(const char *path, size_t *n);
void kit_write_file(const char *path, const char *bytes, size_t n);

/* A promise of a path, with a spool of its own and one range of `size` bytes. */
struct promise kit_simple(struct journal *j, uint64_t id, const char *path, int64_t size);
/* The same, promised. */
int kit_promise(struct journal *j, uint64_t id, const char *path, int64_t size, bool durable);
/* What is owed, as "path:size path:size", oldest first; static. */
const char *kit_owed(struct journal *j);

#endif
