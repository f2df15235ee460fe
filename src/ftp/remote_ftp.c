/* ftp/remote_ftp - struct remote over a pool of sessions */
#include "ftp/remote_ftp.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/path.h"
#include "base/stats.h"
#include "ftp_private.h"

static int64_t round_trip(struct remote *r)
{
	return pool_round_trip(((struct remote_ftp *)r)->pool);
}

static void describe(struct remote *r, struct buf *out)
{
	struct remote_ftp *ftp = (struct remote_ftp *)r;
	struct caps caps;
	static const char *const WORDS[] = {"?", "yes", "no"};

	pool_caps(ftp->pool, &caps);
	buf_addf(out, "server %s\nroot %s\nconnections %u of %u\nround_trip %.3f ms\n",
		 ftp->conf->login.host, *ftp->root ? ftp->root : "/", pool_open(ftp->pool),
		 pool_limit(ftp->pool), (double)round_trip(r) / NS_PER_MS);
	for (int i = 0; i < CAP_COUNT; i++)
		buf_addf(out, "%s %s\n", caps_name((enum cap)i), WORDS[caps.known[i]]);
}

static void destroy(struct remote *r)
{
	struct remote_ftp *ftp = (struct remote_ftp *)r;

	pool_destroy(ftp->pool);
	free(ftp->root);
	free(ftp);
}

static const struct remote_ops OPS = {
	.list = ftp_list,
	.stat = ftp_stat,
	.stat_many = ftp_stat_many,
	.open_read = ftp_open_read,
	.open_write = ftp_open_write,
	.can_patch = ftp_can_patch,
	.mkdir = ftp_mkdir,
	.rmdir = ftp_rmdir,
	.remove = ftp_remove,
	.rename = ftp_rename,
	.set_mtime = ftp_set_mtime,
	.set_mode = ftp_set_mode,
	.can_set = ftp_can_set,
	.symlink = ftp_symlink,
	.readlink = ftp_readlink,
	.copy = ftp_copy,
	.space = ftp_space,
	.settle = ftp_settle,
	.hash_kind = ftp_hash_kind,
	.round_trip = round_trip,
	.describe = describe,
	.destroy = destroy,
};

/* "" for the server's root: then every path is root + path. */
static int make_root(const char *login_dir, const char *dir, char **out)
{
	struct buf whole, root;
	int rc;

	buf_init(&whole, 2 * PATH_LIMIT);
	buf_init(&root, 2 * PATH_LIMIT);
	if (dir[0] != '/')
		buf_addf(&whole, "%s/", login_dir);
	buf_adds(&whole, dir);
	rc = buf_error(&whole);
	if (rc == 0)
		rc = path_normalise(&root, buf_text(&whole));
	if (rc == 0 && !(*out = strdup(strcmp(buf_text(&root), "/") == 0 ? "" : buf_text(&root))))
		rc = -ENOMEM;
	buf_free(&whole);
	buf_free(&root);
	return rc;
}

/* CWD says whether the directory is there; SIZE, when it is not one. */
static int enter_root(struct session *s, const char *root, enum login_failure *failure,
		      struct buf *why, const struct opctx *ctx)
{
	struct reply r;
	enum found found;
	char line[256];

	if (!*root)
		return 0;
	reply_init(&r);
	int code = session_command(s, &r, ctx, "CWD %s", root);
	reply_first_line(&r, line, sizeof line);
	reply_free(&r);
	if (code < 0) {
		*failure = LOGIN_NO_CONNECT;
		buf_addf(why, "%s", strerror(-code));
		return code;
	}
	if (code / 100 == 2)
		return 0;
	*failure = LOGIN_NO_DIR;
	if (look_at(s, root, &found, ctx) == 0 && found == FOUND_FILE)
		*failure = LOGIN_NOT_A_DIR;
	buf_addf(why, "%d %s", code, line);
	return *failure == LOGIN_NOT_A_DIR ? -ENOTDIR : -ENOENT;
}

int remote_ftp_create(const struct ftp_conf *conf, struct remote **out, enum login_failure *failure,
		      struct buf *why, const struct opctx *ctx)
{
	struct remote_ftp *ftp = calloc(1, sizeof *ftp);
	struct session *s;

	*failure = LOGIN_INTERNAL;
	if (!ftp)
		return -ENOMEM;
	ftp->base.ops = &OPS;
	ftp->conf = conf;
	int rc = pool_create(&conf->login, conf->max_conns, conf->active, &ftp->pool);
	if (rc != 0) {
		free(ftp);
		return rc;
	}
	rc = pool_get_first(ftp->pool, &s, failure, why, ctx);
	if (rc == 0) {
		rc = make_root(login_entry_path(s->login), conf->dir ? conf->dir : "", &ftp->root);
		if (rc == 0)
			rc = enter_root(s, ftp->root, failure, why, ctx);
		pool_put(ftp->pool, s);
	}
	if (rc != 0) {
		destroy(&ftp->base);
		return rc;
	}
	*out = &ftp->base;
	return 0;
}
