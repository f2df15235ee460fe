/* fs/journal_private - the journal's format, and what its files share.
 *
 * All numbers are little-endian.  A file is a header and records, nothing between them:
 *
 *     header   magic "ftpfsjnl", u32 version, u32 CRC-32C of the 12 bytes before.
 *              These 16 bytes are the same in every version.
 *     record   u32 CRC-32C of all that follows in it, u32 magic, u32 length of the body, body
 *     body     u64 sequence, u64 synced, u64 id, u8 kind, and of a promise:
 *              u8 flags, i64 size, base_size, server_size, server_mtime, mtime, mode,
 *              path (u32 length, bytes, NUL), and where the flags say so `from` likewise,
 *              u32 count of ranges, and of each u64 from, to
 *
 * Sequence numbers ascend.  `synced` is one up to which everything was on disk when the record was
 * written.  That tells damage from a crash: a bad record in front of one that says `synced` past it
 * was good once; any other bad record had never been waited for, and it and what follows is cut. */
#ifndef FTPFS_FS_JOURNAL_PRIVATE_H
#define FTPFS_FS_JOURNAL_PRIVATE_H

#include <sys/queue.h>

#include "base/buf.h"
#include "base/lock.h"
#include "fs/journal.h"

enum {
	JOURNAL_HEADER = 16,
	JOURNAL_VERSION = 1,
	RECORD_FIXED = 12 + 25,	 /* of every record: a `done` has no more */
	JOURNAL_MAX = 256 << 20, /* bytes of a journal: it is read in one piece */
};

/* ---- format ---- */

/* A record as it lies in memory: pointers into it. */
struct record {
	size_t length; /* of all of it */
	uint64_t seq, synced, id;
	bool is_promise;
	struct promise p; /* without dirty; its strings belong to the memory */
	const unsigned char *ranges;
	size_t range_count;
};

void journal_write_header(unsigned char out[JOURNAL_HEADER]);
/* 0; -EBADMSG: none of ours, or damaged; -EPROTO: of another version, *version. */
int journal_read_header(const unsigned char *bytes, size_t n, uint32_t *version);
/* Adds a record, still to be stamped.  -EINVAL: it could not be read again; -EFBIG: too long. */
int record_promise(struct buf *out, const struct promise *p);
int record_done(struct buf *out, uint64_t id);
/* Puts in the numbers and the checksum of a whole record. */
void record_stamp(void *record, size_t length, uint64_t seq, uint64_t synced);
/* The record that begins at bytes; false: there is none, or it is incomplete or bad. */
bool record_read(const unsigned char *bytes, size_t n, struct record *out);
/* Was any record after `seq` on disk, by what the bytes say that follow it? */
bool record_proves_damage(const unsigned char *bytes, size_t n, uint64_t seq);
/* A copy that owns its memory.  -ENOMEM. */
int record_to_promise(const struct record *r, struct promise *out);

/* ---- directories ---- */

bool journal_dir_exists(const char *cache_dir, const char *target);
/* journal_open() that waits for nobody. */
int journal_open_at_once(const char *cache_dir, const char *target, struct journal **out);

/* ---- state ---- */

/* A promise that holds: where its record lies. */
struct owed {
	uint64_t id; /* first: the tree compares it */
	TAILQ_ENTRY(owed) age;
	int64_t at;
	size_t length;
	uint64_t seq;
	int64_t moved;	/* where it lies in the file that is being written */
	bool named;	/* its spool's name is on disk */
	bool has_spool; /* while the directory is being read: or it needs none */
};

TAILQ_HEAD(owed_list, owed);

/* A promise is on disk when synced has reached its number.  A failed sync leaves it open what of
 * the unsynced is there, and the next one may succeed without it: the file is `broken`, and is
 * written anew from what holds before anything is added. */
struct journal {
	char *dir, *file, *fresh; /* fresh: the file that takes its place */
	char *wanted;		  /* made by whoever waits for the lock */
	int lock_fd;
	struct mutex lock;
	struct cond settled; /* `syncing` ended */
	int fd;		     /* GUARDED_BY(lock), as all below; not replaced while syncing */
	void *by_id;
	struct owed_list owed; /* oldest first */
	size_t count;
	int64_t end, live;	 /* bytes: of the file; of the records that hold */
	int64_t compact;	 /* JOURNAL_COMPACT */
	int64_t compact_from;	 /* not before the file has this size */
	uint64_t seq;		 /* of the last record */
	uint64_t synced, failed; /* what a sync reached; what the last failed one wanted to */
	int error;		 /* of that one */
	bool syncing;		 /* one thread is in fdatasync, without the lock */
	bool names_due;		 /* the directory has to be synced, too */
	bool broken;
};

struct owed *journal_find(struct journal *j, uint64_t id);
/* Holds from now on, in the place of an earlier one; the record lies at `at`.  NULL: no memory. */
struct owed *journal_hold(struct journal *j, uint64_t id, int64_t at, size_t length, uint64_t seq);
void journal_drop(struct journal *j, struct owed *o);
/* The file written anew from what holds: whole, synced, named.  Nobody may be syncing. */
int journal_rebuild(struct journal *j);
/* Nothing holds: back to the header. */
int journal_cut(struct journal *j);

#endif
