/* fs/journal - what the server is owed, on disk: it survives this process and this machine's power.
 *
 * One directory a target (server, user, mounted directory) below cache_dir, of one process at a
 * time:
 *
 *     lock          flock(2)ed while a process uses the directory
 *     journal       records, only ever appended to; each with its length and a checksum
 *     spool-<id>    the bytes (fs/spool); <id> is 16 hex digits
 *     kept-...      what could not be stored, as somebody was told: only spool_unkeep() takes it
 *
 * A promise is a record that says: the file at `path` shall be what is in the spool `id`.  It holds
 * from the moment journal_promise() has returned 0 until journal_done().  A later promise with the
 * same id takes the place of the earlier one, and is then the youngest.
 *
 * What is on disk when, so that every prefix of these writes is a state that can be gone on from:
 *
 *     1. the spool's bytes           spool_sync()             the caller, before journal_promise()
 *     2. the spool's name            fsync(directory)         journal_promise(durable), the first
 *     3. the promise                 fdatasync(journal)       journal_promise(durable)
 *     ...  the server confirms
 *     4. done                        no sync: see below
 *     5. the spool is deleted        by its owner, after 4
 *
 * 1 is for durable promises, and for every later one of the same id: it may reach the disk by
 * chance and takes the place of the durable one.
 *
 * The bytes are in the spool, not here: to overwrite or cut what is promised, or to write into a
 * hole of it, changes what a crash leaves of the promise until the next one is made.  Bytes added
 * at the end do not.  Whoever owes somebody the old content begins a new spool.
 *
 * A promise without its spool has been kept (unless it needs none): only 5 deletes a spool that is
 * promised.  A spool without a promise was never promised to anybody, and
 * journal_open() deletes it: where its path has been told to somebody, promise it or spool_keep()
 * it (that first, then journal_done()).
 *
 * The end of the journal that a crash tore is recognised and cut off: nobody had waited for it.  A
 * bad record that had been on disk once is damage: journal_open() then keeps a copy,
 * journal-damaged-<date>, and every spool that the records before it do not speak of, as kept-...,
 * says so, and goes on with the records before it.  So it does with the spools when there is no
 * journal at all.
 *
 * Thread-safe; promises of one id come from one thread at a time.  Its lock is a leaf and is held
 * during local disk I/O (appends, and writing the file anew), never across the network.  Concurrent
 * durable promises share one fdatasync. */
#ifndef FTPFS_FS_JOURNAL_H
#define FTPFS_FS_JOURNAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "fs/spool.h"

struct journal;

struct promise {
	uint64_t id;   /* of the spool; never 0 */
	char *path;    /* where the bytes belong: absolute, as path.h has it */
	bool patching; /* the server's file may be a mixture of the old one and this */
	bool litter;   /* `path` is a name of ours on the server, to be removed: no spool, and the
			* rest means nothing */
	char *from;    /* not NULL: a rename from there to `path`, where something makes way for it
			* (src/fs/aside.h): no spool, and of the rest `mode` alone means something */
	int64_t size;  /* of the file that was promised */
	bool whole, shrunk;   /* as in struct spool */
	int64_t base_size;    /* as in struct spool */
	struct extents dirty; /* as in struct spool; of a whole file: what is not a hole */
	bool on_server;	      /* a file of that name was there when this was promised ... */
	int64_t server_size;  /* ... of that size; -1: not known */
	int64_t server_mtime; /* ... and time; REMOTE_KEEP_MTIME: not known exactly */
	int64_t mtime, mode;  /* to be set; REMOTE_KEEP_... */
};

#define JOURNAL_PATIENCE (10 * INT64_C(1000000000))

enum {
	JOURNAL_RECORD_MAX = 2 << 20, /* bytes: a path and EXTENTS_MAX ranges */
	JOURNAL_COMPACT = 4 << 20,    /* bytes from which on a journal that is mostly done is
				       * written anew; one of which nothing holds is cut */
};

/* A file to be stored, and not names to be put in order. */
bool promise_has_spool(const struct promise *p);
/* Free what p owns, not p. */
void promise_clear(struct promise *p);

/* The directory of `target` (any text without secrets: some of it is in the name; equal targets
 * share it) below cache_dir, made when it is missing, locked, its journal read and cut.  By the
 * process that stays: the lock's text is its pid.  -EBUSY: another process uses it; *owner (may be
 * NULL) is then its pid, or 0; one that is leaving is waited for, JOURNAL_PATIENCE at most.
 * -EPROTO: a newer program wrote it, nothing was changed.  -EPERM: the directory is open to others.
 * Spools that nobody was promised are deleted. */
int journal_open(const char *cache_dir, const char *target, struct journal **out, long *owner);
/* The same for the first of the directories of `target` that no mount uses: it has several when it
 * is mounted several times.  What ended mounts of it still owe, in any of them, is promised here
 * then. */
int journal_open_any(const char *cache_dir, const char *target, struct journal **out);
/* This process has only to store what it owes, and would rather leave that to the next one ... */
void journal_leaving(struct journal *j);
/* ... which is there, and waits in journal_open(). */
bool journal_wanted(const struct journal *j);
/* Releases the lock.  What is promised and not done stays for the next one. */
void journal_close(struct journal *j);

/* Absolute path of the directory, for spool_create(); lives as long as j. */
const char *journal_dir(const struct journal *j);

/* What is promised and not done, after journal_open() thus what an earlier process left: an array
 * of *n, oldest first, that the caller frees (promise_clear each, then free).  -ENOMEM, -EIO. */
int journal_owed(struct journal *j, struct promise **out, size_t *n);

/* Append p.  durable: on disk when this returns 0; else only safe against the end of this process.
 * -EINVAL: a path, size or range that makes no sense.  -ENOSPC, -EIO or another error of the disk:
 * this is not promised, though it may be found by a later process if this one ends at once; what
 * was promised of the same id before still holds. */
int journal_promise(struct journal *j, const struct promise *p, bool durable);
/* The server has it, or it is not wanted any more. Never fails in a way that matters: a `done` that
 * is lost makes the next mount look at a file once more. */
void journal_done(struct journal *j, uint64_t id);

/* Promises that hold now. */
size_t journal_count(struct journal *j);

/* Tests: instead of JOURNAL_COMPACT. */
void journal_set_compact(struct journal *j, int64_t bytes);

#endif
