/* fs/temp - the temporary sibling of a commit: named, in the journal, and gone again. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/path.h"
#include "file_private.h"

/* A server that has not begun with a command when its session was cut does it within that time, or
 * not at all. */
#define LATE NS_PER_S

void temp_leave(struct files *files, struct stored *s, bool may_come)
{
	int64_t due = may_come ? clock_monotonic() + LATE : 0;

	mutex_lock(&files->tree->lock);
	if (files->nlitter < LITTER_MAX) {
		files->litter[files->nlitter++] = (struct litter){s->temp, s->temp_id, due};
		s->temp = NULL;
	}
	mutex_unlock(&files->tree->lock);
	free(s->temp);
	s->temp = NULL;
}

/* One whose time has come. */
static bool take_litter(struct files *files, int64_t now, struct stored *s)
{
	struct litter *v = files->litter;
	unsigned i = 0;
	bool any;

	mutex_lock(&files->tree->lock);
	while (i < files->nlitter && v[i].due > now)
		i++;
	any = i < files->nlitter;
	if (any) {
		s->temp = v[i].path;
		s->temp_id = v[i].id;
		v[i] = v[--files->nlitter];
	}
	mutex_unlock(&files->tree->lock);
	return any;
}

int temp_remove(struct files *files, struct stored *s, bool last, const struct opctx *ctx)
{
	int rc = remote_remove(files->remote, s->temp, ctx);

	if (rc == 0 || (rc == -ENOENT && last))
		temp_gone(files, s);
	else if (rc == -ENOENT)
		temp_leave(files, s, true);
	return rc == -ENOENT ? 0 : rc;
}

void temp_sweep(struct files *files, int64_t within)
{
	struct opctx ctx = opctx_for(within);
	int64_t now = clock_monotonic();
	struct stored s;
	int rc = 0;

	while (!remote_link_error(rc) && take_litter(files, now, &s)) {
		rc = temp_remove(files, &s, true, &ctx);
		if (remote_link_error(rc))
			temp_leave(files, &s, false);
		else if (rc)
			free(s.temp);
	}
}

static int forsake(struct commit *c)
{
	struct stored *s = &c->stored;
	int rc;

	if (!s->temp)
		return 0;
	rc = temp_remove(c->files, s, false, c->ctx);
	if (rc == -EINTR || remote_link_error(rc))
		return rc;
	/* Refused: the next mount tries again. */
	free(s->temp);
	s->temp = NULL;
	return 0;
}

int temp_name(struct commit *c)
{
	struct stored *s = &c->stored;
	int rc = forsake(c);
	struct buf path;

	if (rc)
		return rc;
	buf_init(&path, PATH_LIMIT);
	rc = remote_temp_path(buf_text(&c->path), &path);
	if (rc == 0) {
		s->temp = strdup(buf_text(&path));
		rc = s->temp ? 0 : -ENOMEM;
	}
	if (rc == 0)
		promise_litter(c->files, s->temp, &s->temp_id);
	buf_free(&path);
	return rc;
}

void temp_gone(struct files *files, struct stored *s)
{
	promise_no_litter(files, s->temp_id);
	free(s->temp);
	s->temp = NULL;
}

static void discard(struct files *files, struct stored *s)
{
	struct opctx ctx = opctx_for(files->timeout);
	int rc;

	if (!s->temp)
		return;
	rc = temp_remove(files, s, false, &ctx);
	if (rc && !remote_link_error(rc))
		temp_gone(files, s);
}

void temp_discard(struct commit *c)
{
	discard(c->files, &c->stored);
}

void temp_discard_locked(struct file *f)
{
	struct stored s = f->stored;

	if (!s.temp)
		return;
	file_busy_locked(f);
	mutex_unlock(&f->lock);
	discard(f->files, &s);
	mutex_lock(&f->lock);
	f->stored.temp = s.temp;
	file_idle_locked(f);
}
