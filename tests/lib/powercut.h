/* powercut - a disk that forgets.  It writes down what fs/disk is asked to do in one directory, and
 * afterwards builds, for every moment in between, directories as a power cut may leave them: what
 * was synced is there; of what was not, every write may be there, be missing or be torn, and every
 * name may be the old or the new one, each by itself. */
#ifndef FTPFS_TESTS_POWERCUT_H
#define FTPFS_TESTS_POWERCUT_H

#include <stddef.h>

/* Every call below `dir` from now on, from one thread; nothing is really synced.  What is there
 * already is safe. */
void powercut_record(const char *dir);
/* The caller's own remark, handed back in its place among the operations. */
void powercut_note(int what, size_t which);
/* Operations, and remarks, so far. */
size_t powercut_operations(void);
/* From now on they are carried out, unsynced, and not recorded. */
void powercut_stop(void);

struct powercut_eyes {
	void (*noted)(int what, size_t which);
	/* `dir` is as the power cut left it. */
	void (*look)(void);
};

/* At each moment each operation that is not safe yet is lost, is all that survives, and is torn;
 * and `dice` times each of them meets a fate of its own.  Count of directories looked at. */
size_t powercut_replay(const char *dir, const struct powercut_eyes *eyes, int dice, unsigned seed);
/* The recorded directory itself, as a power cut at some moment has left it; what had been noted
 * until then is said again. */
void powercut_strike(const struct powercut_eyes *eyes, unsigned seed);
/* What is being looked at, for messages. */
const char *powercut_where(void);
/* Frees what was recorded. */
void powercut_forget(void);

#endif
