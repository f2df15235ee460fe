/* fs/proof - a file is stored when the server says its size, and with verify=hash its hash, too. */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/log.h"
#include "file_private.h"

enum { CHUNK = 256 << 10 };

static void missed(struct files *files, const char *path)
{
	if (!atomic_exchange(&files->hash_missed, true))
		log_warn(
			"%s: verify=hash: the server told no hash; where it tells none, size alone "
			"is compared",
			path);
}

void proof_announce(struct files *files)
{
	if (!files->verify_hash || remote_hash_kind(files->remote) != HASH_NONE)
		return;
	atomic_store(&files->hash_missed, true);
	log_warn("verify=hash: this server has no command that tells a file's hash: size alone is "
		 "compared");
}

static bool wanted(const struct commit *c)
{
	return c->files->verify_hash && remote_hash_kind(c->files->remote) != HASH_NONE;
}

void proof_begin(struct commit *c)
{
	struct stored *s = &c->stored;

	if (!s->upload || !wanted(c))
		return;
	if (hash_begin(remote_hash_kind(c->files->remote), &s->hash) != 0)
		s->hash = NULL;
}

static void ask(struct commit *c, struct settle *s)
{
	s->hash = c->sent.kind;
	s->hashed = c->spool->size;
}

bool proof_of_sent(struct commit *c, struct settle *s)
{
	c->sent.kind = HASH_NONE;
	if (!c->stored.hash)
		return !wanted(c);
	hash_end(c->stored.hash, &c->sent);
	c->stored.hash = NULL;
	ask(c, s);
	return true;
}

static int hash_spool(struct commit *c, struct hash *h)
{
	char *bytes = malloc(CHUNK);
	ssize_t n = bytes ? 1 : -ENOMEM;

	for (int64_t at = 0; n > 0 && at < c->spool->size; at += n) {
		n = opctx_check(c->ctx);
		if (n == 0)
			n = spool_read(c->spool, bytes, CHUNK, at);
		if (n > 0)
			hash_add(h, bytes, (size_t)n);
	}
	free(bytes);
	return n < 0 ? (int)n : 0;
}

/* Of what was appended or patched the rest is the server's alone, unless it is here by chance: then
 * nobody can tell what the hash should be. */
void proof_of_spool(struct commit *c, struct settle *s)
{
	struct extent gap;
	struct hash *h;

	if (c->sent.kind == HASH_NONE && wanted(c) &&
	    !spool_missing(c->spool, 0, c->spool->size, &gap) &&
	    hash_begin(remote_hash_kind(c->files->remote), &h) == 0) {
		int rc = hash_spool(c, h);

		hash_end(h, &c->sent);
		if (rc)
			c->sent.kind = HASH_NONE;
	}
	ask(c, s);
}

int proof_judge(struct commit *c, const struct settle *s)
{
	char ours[DIGEST_TEXT_SIZE], theirs[DIGEST_TEXT_SIZE];

	if (s->hash == HASH_NONE)
		return 0;
	/* It may have taken the server long. */
	c->progress = clock_monotonic();
	if (s->digest.kind == HASH_NONE) {
		missed(c->files, buf_text(&c->path));
		return 0;
	}
	if (digest_same(&c->sent, &s->digest))
		return 0;
	digest_print(&c->sent, ours);
	digest_print(&s->digest, theirs);
	log_warn("%s: the server confirmed %" PRId64
		 " bytes and has others: %s was sent, it has %s",
		 buf_text(&c->path), c->spool->size, ours, theirs);
	c->short_sizes++;
	/* If it is not our part that is wrong, sending it again makes nothing right. */
	c->stored.no_patch = true;
	c->tail_sent = false;
	return -EAGAIN;
}

/* ---- the whole of it ---- */

static void take(struct commit *c, const struct settle *s)
{
	c->settled = s->entry;
	c->mode_refused = s->mode_refused;
	c->mtime_refused = s->mtime_refused;
}

int proof_settle(struct commit *c, const char *path, struct settle *s)
{
	int rc;

	if (c->mtime != REMOTE_KEEP_MTIME)
		atomic_store(&c->file->own_mtime, c->mtime);
	rc = remote_settle(c->files->remote, path, s, c->ctx);
	take(c, s);
	return rc;
}

/* A server may say 226 and have less, or nothing. */
int proof_take(struct commit *c, struct settle *s)
{
	const char *path = c->stored.to == UPLOAD_TEMP ? c->stored.temp : buf_text(&c->path);
	int rc = 0;

	if (s->done) {
		take(c, s);
	} else {
		proof_of_spool(c, s);
		rc = proof_settle(c, path, s);
	}
	if (rc && rc != -ENOENT)
		return rc;
	if (rc == 0 && (!(c->settled.have & HAVE_SIZE) || c->settled.size == c->spool->size))
		return proof_judge(c, s);
	log_warn("%s: the server confirmed %" PRId64 " bytes and has %" PRId64, path,
		 c->spool->size, rc ? (int64_t)0 : c->settled.size);
	c->short_sizes++;
	return -EAGAIN;
}
