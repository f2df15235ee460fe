/* prefetch - files read one after the other: noticing it, and fetching them whole.
 *
 * An order is noticed, not assumed: find and tar take the listing's, rsync and the shell the
 * names', cp the inode numbers'.  A walk grows its window by one for each file foreseen, so that an
 * end costs no more than the walk has won, and every open that does not fit makes the next walk
 * harder to begin: a random reader soon gets nothing fetched. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/path.h"
#include "prefetch_private.h"

unsigned file_need_locked(struct prefetch *p)
{
	return record_poor(&p->file_record) ? EARN_BACK : p->need;
}

static bool same_version(const struct item *it, int64_t size, int64_t mtime)
{
	return it->size == size &&
	       (it->mtime == mtime || (mtime > it->mtime && mtime - it->mtime < it->slack));
}

/* Read size bytes; a file of another length is another version. */
static int read_whole(struct stream *s, char *to, int64_t size, const struct opctx *ctx)
{
	int64_t got = 0;

	while (got < size) {
		ssize_t n = stream_read(s, to + got, (size_t)(size + 1 - got), ctx);

		if (n < 0)
			return (int)n;
		if (n == 0)
			return -EIO;
		got += n;
	}
	return got == size ? 0 : -EIO;
}

static int fetch(struct prefetch *p, const struct item *it, char *to)
{
	struct opctx ctx = prefetch_ctx(p);
	struct stream *s = NULL;
	struct buf path;
	int rc;

	buf_init(&path, PATH_LIMIT + 1);
	rc = tree_path(p->tree, it->node, &path);
	if (!rc)
		rc = remote_open_read(p->remote, buf_text(&path), 0, &s, &ctx);
	if (!rc)
		rc = read_whole(s, to, it->size, &ctx);
	if (s)
		stream_close(s);
	buf_free(&path);
	return rc;
}

/* What the fetch came to: held, tried again, or remembered as failed. */
static void settle_locked(struct prefetch *p, struct item *it, char *bytes, int rc)
	REQUIRES(p->lock)
{
	if (!rc) {
		stats_add(STAT_PREFETCH_FILES, 1);
		stats_add(STAT_PREFETCH_BYTES, it->size);
		it->bytes = bytes;
		item_enter_locked(p, it, ITEM_HELD);
	} else {
		free(bytes);
		item_enter_locked(p, it, rc == -EAGAIN ? ITEM_QUEUED : ITEM_FAILED);
	}
	if (it->dropped || (rc == -EAGAIN && ++it->tries >= TRIES))
		item_discard_locked(p, it);
	cond_broadcast(&p->done);
}

int file_run(struct prefetch *p, struct item *it)
{
	char *bytes = malloc((size_t)it->size + 1);
	int rc = bytes ? fetch(p, it, bytes) : -ENOMEM;

	if (rc == -ESTALE) /* the connection was taken for somebody's use */
		rc = -EAGAIN;
	mutex_lock(&p->lock);
	settle_locked(p, it, bytes, rc);
	mutex_unlock(&p->lock);
	return rc;
}

/* The lowest directory above both. */
static struct node *common_dir(const struct node *a, const struct node *b)
{
	for (struct node *dir = a->parent; dir; dir = dir->parent)
		if (node_below(b, dir))
			return dir;
	return NULL;
}

/* The orders in which n follows the walk: it is the next file of the same directory; or, when the
 * walk is an established one, the first file of another, or the next one after the directory that
 * the walk comes out of. */
static unsigned follows_locked(struct prefetch *p, const struct file_walk *w, const struct node *n,
			       int64_t now) REQUIRES(p->tree->lock, p->lock)
{
	const struct node *after = w->last;

	if (!after->parent || !n->parent)
		return 0;
	if (after->parent == n->parent)
		return plan_orders_locked(p, after, n) & w->orders;
	if (w->streak < file_need_locked(p) || now - w->event > WALK_IDLE)
		return 0;
	while (after && after->parent != n->parent)
		after = after->parent;
	return plan_orders_locked(p, after, n) & w->orders;
}

static void break_walk_locked(struct prefetch *p, struct file_walk *w) REQUIRES(p->lock)
{
	struct item *it, *next;

	if (w->ahead && p->need < NEED_MAX)
		p->need++;
	for (it = TAILQ_FIRST(&p->files); it; it = next) {
		next = TAILQ_NEXT(it, link);
		if (it->walk != w)
			continue;
		item_uncount(it);
		it->walk = NULL;
		if (it->state == ITEM_QUEUED)
			item_discard_locked(p, it);
	}
	w->orders = BY_ANY;
	w->streak = 0;
	w->window = w->window / 2 > AHEAD_FIRST ? w->window / 2 : AHEAD_FIRST;
	w->plan = false;
}

static struct file_walk *oldest_walk_locked(struct prefetch *p) REQUIRES(p->lock)
{
	struct file_walk *w = &p->file_walks[0];

	for (size_t i = 0; i < FILE_WALKS; i++)
		if (p->file_walks[i].event < w->event)
			w = &p->file_walks[i];
	return w;
}

/* The walk that n is a step of: the one that foresaw it, else one that it follows, else the one of
 * its directory, which is broken by it, else a new one. */
static struct file_walk *walk_of_locked(struct prefetch *p, const struct node *n,
					const struct item *it, int64_t now)
	REQUIRES(p->tree->lock, p->lock)
{
	struct file_walk *here = NULL, *fits = NULL;
	unsigned orders, fit_orders = 0;

	if (it && it->walk)
		return it->walk;
	for (size_t i = 0; i < FILE_WALKS; i++) {
		struct file_walk *w = &p->file_walks[i];

		if (!w->last)
			continue;
		orders = w->last == n ? w->orders : follows_locked(p, w, n, now);
		if (orders && (!fits || w->event > fits->event)) {
			fits = w;
			fit_orders = orders;
		}
		if (w->last->parent == n->parent)
			here = w;
	}
	if (fits) {
		fits->orders = fit_orders;
		return fits;
	}
	if (!here) {
		here = oldest_walk_locked(p);
		repin_locked(p, &here->top, NULL);
		repin_locked(p, &here->last, NULL);
		here->window = AHEAD_FIRST;
	}
	break_walk_locked(p, here);
	return here;
}

/* n was foreseen; what the walk passed over on the way to it is not before it any more, but is
 * still a step of it: parallel readers open nearly in order. */
static void claim_locked(struct prefetch *p, struct file_walk *w, struct item *claimed)
	REQUIRES(p->lock)
{
	struct item *it;

	TAILQ_FOREACH(it, &p->files, link)
	{
		if (it->ahead == &w->ahead)
			item_uncount(it);
		if (it == claimed)
			break;
	}
	if (w->window < AHEAD_MAX)
		w->window++;
}

/* The walk leaves a directory: it may come back to what is held of it, or not. */
static void cross_locked(struct prefetch *p, struct file_walk *w, const struct node *n)
	REQUIRES(p->tree->lock, p->lock)
{
	struct node *dir = common_dir(w->last, n);
	struct item *it;

	if (dir && dir != w->top && (!w->top || !node_below(dir, w->top)))
		repin_locked(p, &w->top, dir);
	TAILQ_FOREACH(it, &p->files, link)
	if (it->ahead == &w->ahead && it->node->parent == w->last->parent)
		item_uncount(it);
}

static void step_locked(struct prefetch *p, struct node *n, int64_t now)
	REQUIRES(p->tree->lock, p->lock)
{
	struct item *it = item_find_locked(p, n);
	struct file_walk *w = walk_of_locked(p, n, it, now);

	w->event = now;
	if (w->last == n)
		return;
	if (it && it->ahead)
		claim_locked(p, w, it);
	if (w->last && w->streak && w->last->parent != n->parent)
		cross_locked(p, w, n);
	repin_locked(p, &w->last, n);
	if (++w->streak >= EARN_BACK)
		p->need = NEED_FIRST;
	if (w->streak >= file_need_locked(p) && w->ahead + (w->window + 3) / 4 <= w->window) {
		w->plan = true;
		cond_broadcast(&p->wake);
	}
}

void prefetch_opened(struct prefetch *p, struct node *n)
{
	int64_t now = clock_monotonic();

	if (!p)
		return;
	mutex_lock(&p->tree->lock);
	mutex_lock(&p->lock);
	if (n->parent) {
		list_keep_locked(p, n->parent, now);
		step_locked(p, n, now);
	}
	mutex_unlock(&p->lock);
	mutex_unlock(&p->tree->lock);
	prefetch_reap(p);
}

static ssize_t hand_out_locked(struct prefetch *p, struct item *it, void *to, size_t count,
			       int64_t at) REQUIRES(p->lock)
{
	size_t n = at < it->size ? (size_t)(it->size - at) : 0;

	if (n > count)
		n = count;
	memcpy(to, it->bytes + (n ? at : 0), n);
	if (!it->claimed)
		stats_add(STAT_PREFETCH_HITS, 1);
	it->claimed = true;
	it->given += (int64_t)n;
	if (it->given >= it->size)
		item_discard_locked(p, it);
	return (ssize_t)n;
}

static ssize_t read_locked(struct prefetch *p, struct node *n, int64_t size, int64_t mtime,
			   void *to, size_t count, int64_t at, const struct opctx *ctx)
	REQUIRES(p->lock)
{
	for (;;) {
		struct item *it = item_find_locked(p, n);
		int rc;

		if (!it || it->dropped || it->state == ITEM_FAILED)
			return -EAGAIN;
		if (!same_version(it, size, mtime) || it->state == ITEM_QUEUED ||
		    (it->state == ITEM_HELD && clock_monotonic() - it->since > p->tree->ttl)) {
			item_discard_locked(p, it);
			return -EAGAIN;
		}
		if (it->state == ITEM_HELD)
			return hand_out_locked(p, it, to, count, at);
		rc = cond_wait_ctx(&p->done, &p->lock, ctx);
		if (rc)
			return rc;
	}
}

ssize_t prefetch_read(struct prefetch *p, struct node *n, int64_t size, int64_t mtime, void *to,
		      size_t count, int64_t at, const struct opctx *ctx)
{
	ssize_t rc;

	if (!p)
		return -EAGAIN;
	mutex_lock(&p->lock);
	rc = read_locked(p, n, size, mtime, to, count, at, ctx);
	mutex_unlock(&p->lock);
	prefetch_reap(p);
	return rc;
}

void file_sweep_locked(struct prefetch *p, int64_t now)
{
	struct item *it, *next;

	for (it = TAILQ_FIRST(&p->files); it; it = next) {
		next = TAILQ_NEXT(it, link);
		if ((it->state != ITEM_HELD && it->state != ITEM_FAILED) ||
		    now - it->since <= p->tree->ttl)
			continue;
		if (it->ahead && it->walk->window / 2 >= AHEAD_FIRST)
			it->walk->window /= 2; /* its user is slower than we thought */
		item_discard_locked(p, it);
	}
	for (size_t i = 0; i < FILE_WALKS; i++) {
		struct file_walk *w = &p->file_walks[i];

		if (!w->last || now - w->event <= 2 * WALK_IDLE)
			continue;
		break_walk_locked(p, w);
		repin_locked(p, &w->top, NULL);
		repin_locked(p, &w->last, NULL);
	}
}
