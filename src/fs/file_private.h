/* fs/file_private - what the rooms of open files share: file.c, state.c, spooled.c, resize.c,
 * remove.c, commit.c, store.c, temp.c, proof.c, patch.c, basis.c, file_read.c, copy.c, promise.c,
 * writeback.c, recover.c, recover_check.c, reader.c, reader_stream.c, xattr.c and version.c.
 * aside.c borrows.
 */
#ifndef FTPFS_FS_FILE_PRIVATE_H
#define FTPFS_FS_FILE_PRIVATE_H

#include "base/buf.h"
#include "fs/file.h"
#include "fs/journal.h"

/* version.c */

/* What the server says now of `path`: type, size, time, by whatever way it knows.  e->have tells
 * what could be learned.  -ENOENT. */
int version_ask(struct remote *r, const char *path, struct entry *e, const struct opctx *ctx);
/* Is e f's content of that size and mtime (-1, REMOTE_KEEP_MTIME: not known), whose time we may
 * have set since? */
bool version_is(const struct file *f, const struct entry *e, int64_t size, int64_t mtime);
/* ... or that, after an append of ours of which only a part may have arrived? */
bool version_same(const struct file *f, const struct entry *e, int64_t size, int64_t mtime);
/* Is e, which is not that content, larger and not older, as a log is that was appended to?  FTP
 * cannot prove that what was there before is still the same. */
bool version_grown(const struct entry *e, int64_t size, int64_t mtime);
/* 0 after ns, or at once what opctx_check() says. */
int version_pause(const struct opctx *ctx, int64_t ns);

/* file.c */

/* The open file of n with one more reference, or NULL: n is not open. */
struct file *file_of(struct files *files, struct node *n);
/* The same, made when there is none; 0, -ENOMEM. */
int file_get(struct files *files, struct node *n, struct file **out);
void file_put(struct file *f);
/* As a close does: f's changes are stored, or promised to be. */
int file_secure(struct file *f, const struct opctx *ctx);
bool handle_writes(const struct handle *h);
/* Before the server's file is written to, which some servers refuse while they send it: ends all
 * streams that read it, so that nothing of ours is in the way.  It has a spool, from which reads go
 * on, and is busy in our hands. */
int file_let_go(struct file *f, const struct opctx *ctx);

/* state.c */

/* From one state to another that may follow it. */
void file_enter_locked(struct file *f, enum file_state to) REQUIRES(f->lock);
/* Asserts what holds in its state; nobody is in the middle of changing that. */
void file_check_locked(const struct file *f) REQUIRES(f->lock);

/* spooled.c: the file and its spool.  All under f->lock, which is given back while the network is
 * used. */

int file_wait_idle_locked(struct file *f, const struct opctx *ctx) REQUIRES(f->lock);
void file_busy_locked(struct file *f) REQUIRES(f->lock);
void file_idle_locked(struct file *f) REQUIRES(f->lock);
/* The file is idle: give it a spool if it has none; !keep: the server's content does not matter. */
int file_spool_locked(struct file *f, bool keep, const struct opctx *ctx) REQUIRES(f->lock);
/* From now on the node's size and time are the file's. */
void file_own_node_locked(struct file *f) REQUIRES(f->lock);
/* Fetch [from, to) of the server's copy into the spool where it is missing.  The file is busy in
 * our hands. */
int file_fill(struct file *f, int64_t from, int64_t to, const struct opctx *ctx);
/* [from, to) of the spool can be read now.  Waits, and fetches. */
int file_present_locked(struct file *f, int64_t from, int64_t to, const struct opctx *ctx)
	REQUIRES(f->lock);
/* The spool was changed by the application. */
void file_changed_locked(struct file *f) REQUIRES(f->lock);
/* The spool is CLEAN and nobody writes: the server's copy takes over, unless its name is being
 * removed from those who have it open. */
void file_unspool_locked(struct file *f) REQUIRES(f->lock);
/* The changes were refused and their author knows: back to what the server has. */
void file_drop_changes_locked(struct file *f) REQUIRES(f->lock);
/* Nobody is left to ask for another commit: the spool stays on disk, the node shows the server's
 * file. */
void file_give_up_locked(struct file *f) REQUIRES(f->lock);
/* Has it changes that nobody will ask to be stored? */
bool file_forsaken_locked(const struct file *f) REQUIRES(f->lock);
/* Nobody is left to ask for another commit: what the journal still has (a lost link left a part of
 * it on the server) is stored later, by this process or the next; else given up. */
void file_part_with(struct file *f);

/* The kernel reports the last close behind close(2), which may have told an error by then.  Whoever
 * opens the file next is to find what the server has, and not what has still to be set aside: these
 * keep count of handles whose close was told that the server does not take the file. */
void file_refused(struct handle *h, int rc);
void file_not_refused_locked(struct file *f, struct handle *h) REQUIRES(f->lock);
void file_released(struct handle *h);

/* The process ends before the file is stored: nothing of it is touched, here or on the server. */
void file_leave_locked(struct file *f) REQUIRES(f->lock);

/* promise.c: an open file and its promise in the journal.  The file is busy in the caller's hands,
 * or its name cannot change for another reason. */

/* The caller clears *p. */
int promise_make_locked(struct file *f, struct promise *p) REQUIRES(f->lock);
/* Into the journal; a spool that had been kept is what the promise needs again. */
int promise_write(struct file *f, const struct promise *p, bool durable);
/* What was promised has a new time, mode or name. No-op where nothing is promised. */
void promise_update_locked(struct file *f) REQUIRES(f->lock);
/* The file is idle, and nothing of it is promised: before its bytes change, what was promised of
 * them is stored. */
int promise_settle_locked(struct file *f, const struct opctx *ctx) REQUIRES(f->lock);
/* A time or mode was noted: counted as a change, and promised as far as the bytes are. */
void promise_follow_locked(struct file *f) REQUIRES(f->lock);
/* A commit begins: should this process end in the middle of it, the next mount goes on, so that the
 * file becomes wholly the new one.  Nothing is synced, and a failure is none of the commit's. */
void promise_intend_locked(struct file *f) REQUIRES(f->lock);
/* The server's file is about to become a mixture: on disk when this returns 0.  The file is busy in
 * our hands. */
int promise_patch(struct file *f);
/* The server's file is about to be written over, and the spool has all of it, fetched or written:
 * nothing there is needed any more.  On disk when this returns 0; likewise. */
int promise_whole(struct file *f);
/* The commit has failed with rc, and whoever asked for it is told: nobody is owed anything, unless
 * it is to complete what a lost link, or a patch, has left there in part. */
void promise_withdraw_locked(struct file *f, int rc) REQUIRES(f->lock);
/* The server has it, or it is not wanted any more. */
void promise_kept_locked(struct file *f) REQUIRES(f->lock);

/* `path` is about to be made on the server, as a temporary name that is known by *id; and it is
 * gone from there. */
void promise_litter(struct files *files, char *path, uint64_t *id);
void promise_no_litter(struct files *files, uint64_t id);

/* recover_check.c: before a file that an earlier process promised is stored: is the server's file
 * what it was then?  0: go on. */
int recover_check(struct file *f, const struct opctx *ctx);

struct commit; /* below */

/* commit.c */

/* Wait until a commit of f may begin: idle, and its name not about to go. */
int commit_may_begin_locked(struct file *f, const struct opctx *ctx) REQUIRES(f->lock);

/* A commit's end: the server has what the spool had when it began. */
void commit_stored_locked(struct commit *c, struct file *f) REQUIRES(f->lock);

/* store.c: one try to give the server what it lacks. */
struct commit {
	struct file *file;
	struct files *files;
	const struct opctx *ctx;
	struct spool *spool;
	struct buf path;
	struct stored stored;
	int64_t mtime, mode; /* to set; REMOTE_KEEP_... */
	uint64_t writes;     /* of the file when it began */
	int64_t node_mode;   /* of the file that is replaced; REMOTE_KEEP_MODE: not known */
	int64_t touched;     /* when its content was changed last; REMOTE_KEEP_MTIME: it was not */
	bool aside; /* a new file, too, is sent to a temporary sibling: it is not complete yet */
	struct entry settled;
	bool mode_refused, mtime_refused;
	struct digest sent;   /* of the spool, to be compared with the server's; HASH_NONE */
	int64_t progress;     /* monotonic ns: when the server last took something new */
	int64_t furthest;     /* most bytes of the file that any try has sent */
	unsigned in_vain;     /* tries since then */
	bool tail_sent;	      /* an APPE was given everything; only the word of it was lost */
	bool not_ours;	      /* somebody else has changed the base */
	unsigned short_sizes; /* SIZE or hash disagreed with what a 226 had confirmed so often */
};

/* patch.c: what is sent when only parts of the server's file are replaced. */
enum { PATCH_PARTS_MAX = 16 };
struct patch {
	struct extent part[PATCH_PARTS_MAX];
	size_t n;
	bool beside; /* in a copy that the server makes, which then replaces the file */
};

/* Is it allowed, possible and worth while?  Then *p is what to send. */
bool patch_plan(const struct commit *c, struct patch *p);
/* All of it, confirmed: as upload_all(), one try. */
int patch_store(struct commit *c, const struct patch *p);

/* proof.c: the server's size of a file, and its hash against ours (verify=hash).  Ours is computed
 * while the bytes are sent where all of them are sent by one upload, and from the spool where it
 * has them all. */

/* remote_settle() of c's file or of another name for it; c->settled is what came of it. */
int proof_settle(struct commit *c, const char *path, struct settle *s);
/* The upload is over.  `s`: what the end of it was asked to settle, done or not.  0: the server has
 * it; -EAGAIN: it has something else. */
int proof_take(struct commit *c, struct settle *s);

/* A server without any hash is not worth asking: said once, at the start. */
void proof_announce(struct files *files);
/* An upload from 0 on begins. */
void proof_begin(struct commit *c);
/* The upload has been given all of the file: what settle() is to ask for.  False: that takes
 * reading the spool, which nobody should be kept waiting for while the data connection is open. */
bool proof_of_sent(struct commit *c, struct settle *s);
/* The same, reading the spool when nothing else is known. */
void proof_of_spool(struct commit *c, struct settle *s);
/* The server's size is right; is its hash?  0, also when it tells none; -EAGAIN. */
int proof_judge(struct commit *c, const struct settle *s);

/* copy.c */

/* The server copies its file `path`, of that size, to a temporary sibling of c's, and says so. */
int copy_to_temp(struct commit *c, const char *path, int64_t size);
/* ... and is all of it there?  So many bytes at least, so many at most. */
int copy_complete(const struct commit *c, int64_t least, int64_t most);
/* Its mode and time, and the proof that it has that size ... */
int copy_settle(struct commit *c, int64_t size);
/* ... upon which it replaces c's file. */
int copy_place(struct commit *c);
/* After a copy that is of no use.  What cannot be removed now is left (temp_leave); nothing else
 * may be sent to that name, since the server may still be copying to it. */
void copy_discard(struct commit *c);

/* basis.c */

/* Somebody else's content is under our name: logs, -EIO. */
int upload_not_ours(struct commit *c, int64_t size);
/* Fetch what the spool lacks of [from, to), and nothing counts before the base is looked at. */
int upload_fill(struct commit *c, int64_t from, int64_t to);
/* Is what the spool is based on still there, so that all that was fetched is of it?  0; -EIO: it is
 * somebody else's by now; -EOPNOTSUPP: the server cannot tell. */
int upload_check_base(struct commit *c);
/* Here is all that is to be sent, and it is of one version.  One round trip, after the bytes: so it
 * covers the time that they took. */
int upload_complete(struct commit *c);
/* The commit has failed with rc: what was fetched for it may be of another version, and is
 * forgotten unless the link alone is to blame. */
void upload_forget_locked(struct commit *c, struct file *f, int rc) REQUIRES(f->lock);

/* store.c, for patch.c and copy.c */

/* The server has the file, of the spool's size; c->settled is what it says of it. */
void upload_stored(struct commit *c);

/* s->sent has grown. */
void upload_sent_some(struct commit *c);
/* The end of the last (or only) upload: the server's yes, mode and time, and the proof that it has
 * the spool's bytes. */
int upload_finish(struct commit *c);
/* The temporary gets the file's name. */
int upload_place(struct commit *c);

void upload_begin_locked(struct commit *c, struct file *f, const struct opctx *ctx)
	REQUIRES(f->lock);
void upload_end_locked(struct commit *c, struct file *f) REQUIRES(f->lock);
/* Follow the writer: what the spool has by now. */
int upload_some(struct commit *c);
/* All of it, confirmed: c->settled is what the server has.  -EAGAIN: it confirmed what it has not
 * got. */
int upload_all(struct commit *c);
void upload_drop(struct stored *s);

/* temp.c */

/* A name for a temporary sibling is in c->stored.temp, and the journal, when this returns 0.  It is
 * another one for each try, for the same reason as stored.cut; the one before is removed. */
int temp_name(struct commit *c);
/* The temporary sibling is no longer on the server. */
void temp_gone(struct files *files, struct stored *s);
/* Remove the temporary sibling, if there is one and the link stands. */
void temp_discard(struct commit *c);
/* The same for a file that is idle and will not be stored any more. */
void temp_discard_locked(struct file *f) REQUIRES(f->lock);
/* 0: s->temp is gone, and NULL; or it is not there, and then it is left, since the command that was
 * to make it may still be on its way on a session that was cut, unless this is the last try.
 * Else -errno, and nothing has changed. */
int temp_remove(struct files *files, struct stored *s, bool last, const struct opctx *ctx);
/* Removing it was tried in vain, or it may come: it is tried again by temp_sweep(), or by the next
 * mount. */
void temp_leave(struct files *files, struct stored *s, bool may_come);
/* The link seems to stand.  ns. */
void temp_sweep(struct files *files, int64_t within);
bool upload_may_append(const struct file *f, const struct stored *s, const struct spool *spool);

#endif
