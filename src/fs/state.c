/* fs/state - the states of an open file: which follows which, and what holds in each.  file.h and
 * docs/durability.md have the same in words.  Builds with a sanitizer (FTPFS_CHECKED) assert it: a
 * daemon does not end because of an error, but a test does. */
#include <assert.h>

#include "file_private.h"

#ifdef FTPFS_CHECKED
enum { CHECKED = true };
#else
enum { CHECKED = false };
#endif
#define CHECK(holds) assert(!CHECKED || (holds))

#define TO(state) (1u << (state))

/* Somebody may remove the name in any state, and in the middle of a commit, too, if he has waited
 * for files.timeout. */
static bool may_follow(enum file_state from, enum file_state to)
{
	static const unsigned after[] = {
		[FILE_CLEAN] = TO(FILE_DIRTY),
		[FILE_DIRTY] = TO(FILE_COMMITTING) | TO(FILE_CLEAN),
		[FILE_COMMITTING] = TO(FILE_CLEAN) | TO(FILE_DIRTY) | TO(FILE_FAILED),
		[FILE_FAILED] = TO(FILE_COMMITTING) | TO(FILE_CLEAN),
		[FILE_ORPHAN] = 0,
	};

	return to == FILE_ORPHAN || (after[from] & TO(to));
}

void file_enter_locked(struct file *f, enum file_state to)
{
	CHECK(may_follow(f->state, to));
	f->state = to;
}

void file_check_locked(const struct file *f)
{
	bool changed = f->spool && spool_changed(f->spool);

	CHECK(!f->intent || f->owed);
	CHECK(!f->owed || (f->spool && f->files->journal));
	CHECK(f->state != FILE_CLEAN || (!changed && !f->owed && !f->stored.patching));
	CHECK(f->state == FILE_CLEAN || f->state == FILE_ORPHAN || f->spool);
	CHECK(f->state != FILE_ORPHAN || (!f->owed && !f->stored.on_server));
}
