/* ftp/change - the commands that change names and attributes: MKD RMD DELE RNFR RNTO SITE */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/path.h"
#include "ftp_private.h"
#include "mtime.h"

/* One command on one path that either works or is refused. */
static int simple(struct remote *r, const char *path, enum verb verb, const char *word,
		  const struct opctx *ctx)
{
	struct exchange x;
	int rc = exchange_begin(&x, (struct remote_ftp *)r, FOR_METADATA, path, ctx);

	if (rc != 0)
		return rc;
	x.s->changing = true;
	rc = session_command(x.s, &x.reply, ctx, "%s %s", word, buf_text(&x.arg));
	if (rc >= 0)
		rc = rc / 100 == 2 ? 0 : exchange_refused(&x, verb);
	return exchange_end(&x, rc);
}

int ftp_mkdir(struct remote *r, const char *path, const struct opctx *ctx)
{
	return simple(r, path, VERB_MKD, "MKD", ctx);
}

int ftp_rmdir(struct remote *r, const char *path, const struct opctx *ctx)
{
	return simple(r, path, VERB_RMD, "RMD", ctx);
}

int ftp_remove(struct remote *r, const char *path, const struct opctx *ctx)
{
	return simple(r, path, VERB_DELE, "DELE", ctx);
}

/* ---- rename ---- */

/* The longest directory above both paths; a command line that would be too long becomes relative to
 * it. */
static int relative_to_common(struct session *s, const char *from, const char *to, struct buf *a,
			      struct buf *b, const struct opctx *ctx)
{
	struct reply r;
	size_t common = 0;

	for (size_t i = 0; from[i] && from[i] == to[i]; i++)
		if (from[i] == '/')
			common = i;
	reply_init(&r);
	int rc = common ? session_command(s, &r, ctx, "CWD %.*s", (int)common, from) : 250;
	reply_free(&r);
	if (rc < 0)
		return rc;
	if (rc / 100 != 2 || common == 0)
		return -ENAMETOOLONG;
	buf_addf(a, "./%s", from + common + 1);
	buf_addf(b, "./%s", to + common + 1);
	return buf_error(a) ? buf_error(a) : buf_error(b);
}

static int rename_args(struct exchange *x, const char *to_path, struct buf *a, struct buf *b)
{
	const char *from = buf_text(&x->path);
	size_t room = session_line_max(x->s) - 16;

	const char *arg = buf_text(&x->arg);
	if (*arg != '/') {
		/* Entered in steps already: what is above `arg` is where the session is. */
		size_t above = strlen(from) - strlen(arg + 2);
		bool below = strncmp(from, to_path, above) == 0;
		buf_adds(a, arg);
		buf_addf(b, "%s%s", below ? "./" : "", to_path + (below ? above : 0));
		return buf_error(a) ? buf_error(a) : buf_error(b);
	}
	if (strlen(from) > room || strlen(to_path) > room)
		return relative_to_common(x->s, from, to_path, a, b, x->ctx);
	buf_adds(a, from);
	buf_adds(b, to_path);
	return buf_error(a) ? buf_error(a) : buf_error(b);
}

/* RNFR and RNTO in one flight: 0 or -errno with both codes. */
static int send_rename(struct exchange *x, const char *from, const char *to, int *rnfr, int *rnto)
{
	struct session *s = x->s;
	int rc = session_queue(s, "RNFR %s", from);

	if (rc == 0 && !session_pipelines(s)) {
		if ((rc = session_flush(s, x->ctx)) == 0)
			rc = session_reply(s, &x->reply, x->ctx);
		*rnfr = x->reply.code;
		if (rc != 0 || *rnfr / 100 != 3)
			return rc;
		rc = session_command(s, &x->reply, x->ctx, "RNTO %s", to);
		*rnto = rc;
		return rc < 0 ? rc : 0;
	}
	if (rc == 0)
		rc = session_queue(s, "RNTO %s", to);
	if (rc == 0)
		rc = session_flush(s, x->ctx);
	if (rc == 0)
		rc = session_reply(s, &x->reply, x->ctx);
	*rnfr = x->reply.code;
	if (rc != 0 || *rnfr / 100 != 3) {
		/* RNTO without RNFR is refused (503); its reply must not be taken for the next
		 * command's. */
		struct reply unused;
		reply_init(&unused);
		if (rc == 0)
			rc = session_reply(s, &unused, x->ctx);
		reply_free(&unused);
		return rc;
	}
	rc = session_reply(s, &x->reply, x->ctx);
	*rnto = x->reply.code;
	return rc;
}

static int refused_rename(struct exchange *x, const char *to_path, int rnfr)
{
	enum found target = FOUND_NOTHING, source = FOUND_NOTHING;
	int rc;

	if (rnfr / 100 != 3)
		return exchange_refused(x, VERB_RNFR);
	/* It is the target that RNTO names. */
	struct buf source_path = x->path;
	buf_init(&x->path, 2 * PATH_LIMIT);
	buf_adds(&x->path, to_path);
	rc = exchange_refused(x, VERB_RNTO);
	buf_free(&x->path);
	x->path = source_path;
	if (remote_link_error(rc))
		return rc;
	if (look_at(x->s, to_path, &target, x->ctx) == 0 &&
	    look_at(x->s, buf_text(&x->path), &source, x->ctx) == 0) {
		if (source == FOUND_NOTHING)
			return -ENOENT;
		/* Perhaps that is why: who knows what the target is worth decides what to do. */
		if (target != FOUND_NOTHING && rc == -EACCES)
			return -EEXIST;
	}
	return rc;
}

int ftp_rename(struct remote *r, const char *from, const char *to, enum if_exists how,
	       const struct opctx *ctx)
{
	struct exchange x;
	struct buf to_path, a, b;
	int rnfr = 0, rnto = 0;
	int rc = exchange_begin(&x, (struct remote_ftp *)r, FOR_METADATA, from, ctx);

	if (rc != 0)
		return rc;
	x.s->changing = true;
	buf_init(&to_path, 2 * PATH_LIMIT);
	buf_init(&a, 2 * PATH_LIMIT);
	buf_init(&b, 2 * PATH_LIMIT);
	rc = ftp_path(x.ftp, to, &to_path);
	if (rc == 0)
		rc = rename_args(&x, buf_text(&to_path), &a, &b);
	if (rc == 0 && how == RENAME_KEEP_TARGET) {
		enum found target;
		rc = look_at(x.s, buf_text(&to_path), &target, ctx);
		if (rc == 0 && target != FOUND_NOTHING)
			rc = -EEXIST;
	}
	if (rc == 0)
		rc = send_rename(&x, buf_text(&a), buf_text(&b), &rnfr, &rnto);
	if (rc == 0 && (rnfr / 100 != 3 || rnto / 100 != 2))
		rc = refused_rename(&x, buf_text(&to_path), rnfr);
	buf_free(&to_path);
	buf_free(&a);
	buf_free(&b);
	return exchange_end(&x, rc);
}

/* ---- attributes ---- */

int ftp_set_mtime(struct remote *r, const char *path, int64_t mtime, const struct opctx *ctx)
{
	struct exchange x;
	int rc = exchange_begin(&x, (struct remote_ftp *)r, FOR_METADATA, path, ctx);

	if (rc != 0)
		return rc;
	rc = mtime_set(&x, mtime);
	return exchange_end(&x, rc);
}

/* ftp-srv answers 500 to a chmod that failed: what has worked once is not unlearned. */
void chmod_learn(struct caps *c, int code)
{
	if (c->known[CAP_SITE_CHMOD] != YES)
		caps_learn(c, CAP_SITE_CHMOD, code);
}

int ftp_set_mode(struct remote *r, const char *path, uint32_t mode, const struct opctx *ctx)
{
	struct exchange x;
	int rc = exchange_begin(&x, (struct remote_ftp *)r, FOR_METADATA, path, ctx);

	if (rc != 0)
		return rc;
	rc = -EOPNOTSUPP;
	if (caps_may(&x.s->caps, CAP_SITE_CHMOD)) {
		rc = session_command(x.s, &x.reply, ctx, "SITE CHMOD %04o %s", mode & 07777,
				     buf_text(&x.arg));
		if (rc >= 0) {
			chmod_learn(&x.s->caps, rc);
			rc = rc / 100 == 2 ? 0 : exchange_refused(&x, VERB_CHMOD);
		}
	}
	return exchange_end(&x, rc);
}

int ftp_can_set(struct remote *r, enum remote_attr what)
{
	static const int ANSWERS[] = {[UNTRIED] = -EAGAIN, [YES] = 0, [NO] = -EOPNOTSUPP};
	struct caps caps;

	pool_caps(((struct remote_ftp *)r)->pool, &caps);
	return ANSWERS[what == REMOTE_MTIME ? mtime_known(&caps) : caps.known[CAP_SITE_CHMOD]];
}

/* ---- links ---- */

/* ProFTPD resolves a relative target when it makes the link, from the directory that the session
 * happens to be in, and stores the absolute path. */
static int aim(const char *root, const char *target, const char *path, struct buf *out)
{
	struct buf dir;
	int rc;

	if (*target == '/')
		return buf_adds(out, target);
	buf_init(&dir, PATH_LIMIT);
	rc = path_parent(&dir, path);
	if (rc == 0)
		rc = path_aim_link(out, *root ? root : "/", buf_text(&dir), target);
	buf_free(&dir);
	return rc;
}

static int symlink_to(struct remote *r, const char *target, const char *path,
		      const struct opctx *ctx)
{
	struct exchange x;
	int rc;

	/* SITE SYMLINK takes two words: a name with a space cannot be said. */
	if (strpbrk(target, " \r\n") || strchr(path, ' '))
		return -EOPNOTSUPP;
	rc = exchange_begin(&x, (struct remote_ftp *)r, FOR_METADATA, path, ctx);
	if (rc != 0)
		return rc;
	rc = -EOPNOTSUPP;
	if (caps_may(&x.s->caps, CAP_SITE_SYMLINK)) {
		rc = session_command(x.s, &x.reply, ctx, "SITE SYMLINK %s %s", target,
				     buf_text(&x.arg));
		if (rc >= 0) {
			caps_learn(&x.s->caps, CAP_SITE_SYMLINK, rc);
			rc = rc / 100 == 2 ? 0 : exchange_refused(&x, VERB_SITE);
		}
	}
	return exchange_end(&x, rc);
}

int ftp_symlink(struct remote *r, const char *target, const char *path, const struct opctx *ctx)
{
	struct buf absolute;
	int rc;

	if (!*target)
		return -EOPNOTSUPP;
	buf_init(&absolute, 3 * PATH_LIMIT);
	rc = aim(((struct remote_ftp *)r)->root, target, path, &absolute);
	if (rc == 0)
		rc = symlink_to(r, buf_text(&absolute), path, ctx);
	buf_free(&absolute);
	return rc;
}

/* MLSD tells that it is a link but not where to: LIST does, whatever else the server has. */
static int target_by_list(struct exchange *x, const char *name, char **target)
{
	struct listing l;
	struct buf parent;
	struct caps *c = &x->s->caps;
	uint8_t mlst = c->known[CAP_MLST];

	listing_init(&l, LISTING_MAX);
	buf_init(&parent, 2 * PATH_LIMIT);
	int rc = path_parent(&parent, buf_text(&x->path));
	c->known[CAP_MLST] = NO;
	if (rc == 0)
		rc = ftp_list_on(x->s, buf_text(&parent), &l, x->ctx);
	c->known[CAP_MLST] = mlst;
	if (rc == ERRMAP_MUTE)
		rc = -ENOENT;
	if (rc == 0) {
		const struct entry *e = listing_find(&l, name);
		if (!e)
			rc = -ENOENT;
		else if (e->type != ENTRY_LINK || !e->target)
			rc = e->type == ENTRY_LINK ? -EIO : -EINVAL;
		else if (!(*target = strdup(e->target)))
			rc = -ENOMEM;
	}
	buf_free(&parent);
	listing_free(&l);
	return rc;
}

int ftp_readlink(struct remote *r, const char *path, struct buf *out, const struct opctx *ctx)
{
	struct exchange x;
	char *target = NULL;
	struct buf dir;
	int rc = exchange_begin(&x, (struct remote_ftp *)r, FOR_METADATA, path, ctx);

	if (rc != 0)
		return rc;
	rc = target_by_list(&x, path_name(path), &target);
	rc = exchange_end(&x, rc);
	buf_init(&dir, PATH_LIMIT);
	if (rc == 0)
		rc = path_parent(&dir, path);
	if (rc == 0) {
		const char *root = ((struct remote_ftp *)r)->root;
		rc = path_contain_link(out, *root ? root : "/", buf_text(&dir), target);
	}
	buf_free(&dir);
	free(target);
	return rc;
}

/* ---- the disk ---- */

int ftp_space(struct remote *r, struct space *out, const struct opctx *ctx)
{
	struct exchange x;
	int64_t bytes;
	int rc = exchange_begin(&x, (struct remote_ftp *)r, FOR_METADATA, "/", ctx);

	if (rc != 0)
		return rc;
	rc = -EOPNOTSUPP;
	if (x.s->caps.known[CAP_AVBL] == YES) {
		rc = session_command(x.s, &x.reply, ctx, "AVBL %s", buf_text(&x.arg));
		if (rc >= 0)
			rc = rc == 213 && reply_size(&x.reply, &bytes) == 0 ? 0 : -EOPNOTSUPP;
		/* What is in use cannot be asked. */
		if (rc == 0)
			*out = (struct space){(uint64_t)bytes, (uint64_t)bytes};
	}
	return exchange_end(&x, rc);
}
