/* fs/writeback - files that were promised and are still to be stored: a queue, and the threads that
 * empty it (write=back; with write=through there is none).
 *
 *     close(2)            bytes on disk, promise in the journal        file queued
 *     a moment later      commit_file() on a thread of ours            stored, promise done
 *     it fails            the next try after a pause that doubles      still queued, still promised
 *     the mount ends      what is queued is stored, or stays promised  next mount
 *
 * The moment is for what programs do right after close: rsync sets time and mode and renames; a
 * file that is not on the server yet is renamed here alone, so that all of it becomes one upload.
 *
 * Lock: writeback.lock is a leaf below file.lock and tree.lock; f->queued and f->owed are guarded
 * by file.lock.  The queue holds one reference to each of its files. */
#ifndef FTPFS_FS_WRITEBACK_H
#define FTPFS_FS_WRITEBACK_H

#include "fs/file.h"
#include "fs/journal.h"

struct writeback;

#define WRITEBACK_DELAY (250 * INT64_C(1000000))

struct owing {
	uint64_t files;	     /* promised and not stored */
	int64_t bytes;	     /* of them, as large as they will be */
	uint64_t failing;    /* of the files: whose last try failed */
	int64_t umount_wait; /* ns; of the mount: see fs_conf */
};

/* Starts `threads` threads.  files->journal must be there. */
int writeback_create(struct files *files, unsigned threads, struct writeback **out);
/* Ends the threads, in the middle of an upload if need be: drain first.  Files that are not stored
 * stay promised, and the struct files are given up without touching their bytes. */
void writeback_destroy(struct writeback *w);

/* f's changes so far are promised and will be stored: 0, or -errno and nothing is promised.  No-op
 * when there is nothing that the server lacks. */
int writeback_promise(struct writeback *w, struct file *f, const struct opctx *ctx);
/* Queue a file that was promised by an earlier process (fs/recover): 0, -ENOMEM. */
int writeback_adopt(struct writeback *w, struct file *f);

/* Store everything that is queued now, without delay: 0 when the server has all of it; else the
 * error of one that it has not, each having been tried once more. -EINTR, -ETIMEDOUT. */
int writeback_drain(struct writeback *w, const struct opctx *ctx);
void writeback_owing(struct writeback *w, struct owing *out);
/* May f, which is not promised yet, grow to `bytes`?  Waits while uploads of other files make room
 * below files->cache_size; -ENOSPC where none can. */
int writeback_room(struct writeback *w, const struct file *f, int64_t bytes,
		   const struct opctx *ctx);

#endif
