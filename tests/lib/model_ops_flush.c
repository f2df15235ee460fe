/* model_ops_flush - what close and fsync promise, and what comes between. */
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>

#include "base/clock.h"
#include "model_world.h"

/* A commit failed: every other handle that writes has to be told, once.  Unless what h was told is
 * itself an older failure: then perhaps. */
static void owe_others(struct world *w, const struct mhandle *h)
{
	for (int i = 0; i < WORLD_HANDLES; i++) {
		struct mhandle *other = &w->handles[i];

		if (other->m != h->m || other == h || !handle_is_for_writing(other))
			continue;
		other->owed |= !h->maybe && !h->m->doubt;
		other->maybe = true;
	}
}

static int flush_now(struct world *w, struct mhandle *h, bool sync)
{
	return sync ? fs_fsync(h->h, &w->rig->ctx) : fs_flush(h->h, &w->rig->ctx);
}

struct meanwhile {
	struct world *w;
	struct mhandle *h;
};

/* Somebody's chmod or utimens, while a commit of the file is under way: it is noted for the next.
 */
static void set_meanwhile(void *arg)
{
	struct meanwhile *self = arg;
	struct world *w = self->w;
	struct mnode *m = self->h->m;
	int64_t when = (1000000000 + (int64_t)world_random(w, 400000000)) * NS_PER_S;
	struct stat want = {
		.st_mode = world_chance(w, 50) ? 0640 : 0604,
		.st_mtim = {.tv_sec = when / NS_PER_S},
	};
	bool mode = !w->rig->traits.no_modes && world_chance(w, 50);
	struct fs_attr attr;
	int rc;

	/* It is in the middle of being stored, which would have to end first. */
	if (w->rig->traits.untold || (!mode && w->rig->traits.no_set_mtime))
		return;
	rc = fs_setattr(w->rig->fs, self->h->node, NULL, mode ? FS_SET_MODE : FS_SET_MTIME, &want,
			&attr, &w->rig->ctx);
	if (mode)
		world_log(w, "        (meanwhile chmod %o)", want.st_mode);
	else
		world_log(w, "        (meanwhile utimens %" PRId64 ")", when / NS_PER_S);
	if (rc)
		world_fail(w, "it waited for no network, and failed: %s", strerror(-rc));
	if (mode)
		m->mode = want.st_mode;
	else
		touch(m, when);
	m->mtime_exact |= !mode;
	check_attr(w, m, &attr);
}

static int flush_meanwhile(struct world *w, struct mhandle *h, bool sync)
{
	static const enum fault_op ops[] = {FAULT_OPEN_WRITE, FAULT_WRITE, FAULT_FINISH,
					    FAULT_SETTLE, FAULT_RENAME};
	struct meanwhile meanwhile = {.w = w, .h = h};
	enum fault_op op = ops[world_random(w, sizeof(ops) / sizeof(ops[0]))];
	bool some = world_chance(w, 40);
	int rc;

	fault_meanwhile(w->rig->plan, op, some ? set_meanwhile : NULL, &meanwhile);
	rc = flush_now(w, h, sync);
	fault_meanwhile(w->rig->plan, op, NULL, NULL);
	return rc;
}

int world_flush(struct world *w, struct mhandle *h, bool sync)
{
	bool owed = h->owed && handle_is_for_writing(h);
	int rc;

	world_log(w, "%s \"%s\"", sync ? "fsync" : "flush", h->m->name);
	/* With write=back it might come in the midst of what another thread does. */
	rc = w->rig->threads || w->rig->back ? flush_now(w, h, sync) : flush_meanwhile(w, h, sync);
	if (!rc && owed)
		world_fail(w, "\"%s\": an earlier commit failed, and this handle is not told",
			   h->m->name);
	if (w->paused)
		h->owed = false;
	if (rc && w->paused && w->rig->faults) /* an older failure is told once to each handle */
		rc = flush_now(w, h, sync);
	if (world_spoilt(w, sync ? "fsync" : "flush", rc, 0)) {
		guess_stored(w, h->m);
		owe_others(w, h);
		h->owed = h->maybe = false;
		return rc;
	}
	h->maybe = false;
	/* Somebody who only reads promises nothing about what others write when he closes. */
	if (sync || (handle_is_for_writing(h) && !w->rig->back))
		check_stored(w, h->m);
	return 0;
}
