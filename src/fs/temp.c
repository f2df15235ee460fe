/* fs/temp - the temporary sibling of a commit: named, in the journal, and gone again. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/path.h"
#include "file_private.h"

void temp_leave(struct files *files, struct stored *s)
{
	mutex_lock(&files->tree->lock);
	if (files->nlitter < LITTER_MAX) {
		files->litter[files->nlitter++] = (struct litter){s->temp, s->temp_id};
		s->temp = NULL;
	}
	mutex_unlock(&files->tree->lock);
	free(s->temp);
	s->temp = NULL;
}

static bool take_litter(struct files *files, struct stored *s)
{
	bool any;

	mutex_lock(&files->tree->lock);
	any = files->nlitter > 0;
	if (any) {
		s->temp = files->litter[--files->nlitter].path;
		s->temp_id = files->litter[files->nlitter].id;
	}
	mutex_unlock(&files->tree->lock);
	return any;
}

void temp_sweep(struct files *files)
{
	struct opctx ctx = opctx_for(files->timeout);
	struct stored s;
	int rc = 0;

	while (!remote_link_error(rc) && take_litter(files, &s)) {
		rc = remote_remove(files->remote, s.temp, &ctx);
		if (rc == 0 || rc == -ENOENT)
			temp_gone(files, &s);
		else if (remote_link_error(rc))
			temp_leave(files, &s);
		else
			free(s.temp);
	}
}

/* Gone already: the command that was to make it may be on its way, and the journal goes on to know
 * the name. */
static int forsake(struct commit *c)
{
	struct stored *s = &c->stored;
	int rc;

	if (!s->temp)
		return 0;
	rc = remote_remove(c->files->remote, s->temp, c->ctx);
	if (rc == -EINTR || remote_link_error(rc))
		return rc;
	if (rc == 0) {
		temp_gone(c->files, s);
	} else {
		free(s->temp);
		s->temp = NULL;
	}
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
	rc = remote_remove(files->remote, s->temp, &ctx);
	if (rc && remote_link_error(rc))
		return;
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
