/* operations - the words of ftpdrive's script: one call of the remote each */
#include <errno.h>
#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/path.h"
#include "base/stats.h"
#include "drive.h"

enum { SHOW = 4096 }; /* bytes of a file that are shown; the digest is of all */

static void add_string(struct buf *out, const char *bytes, size_t n)
{
	buf_adds(out, "\"");
	for (size_t i = 0; i < n; i++) {
		unsigned char c = (unsigned char)bytes[i];

		if (c == '"' || c == '\\')
			buf_addf(out, "\\%c", c);
		else if (c < 0x20 || c > 0x7e)
			buf_addf(out, "\\u%04x", c);
		else
			buf_add(out, &c, 1);
	}
	buf_adds(out, "\"");
}

void add_field(struct buf *out, const char *key, const char *text)
{
	buf_addf(out, ", \"%s\": ", key);
	add_string(out, text, strlen(text));
}

static void add_entry(struct buf *out, const struct entry *e)
{
	static const char *const TYPES[] = {"file", "dir", "link", "other"};

	buf_addf(out, "{\"type\": \"%s\"", TYPES[e->type]);
	if (e->name)
		add_field(out, "name", e->name);
	if (e->have & HAVE_SIZE)
		buf_addf(out, ", \"size\": %lld", (long long)e->size);
	if (e->have & HAVE_MTIME)
		buf_addf(out, ", \"mtime\": %lld, \"slack\": %lld, \"exact\": %s",
			 (long long)(e->mtime / NS_PER_S), (long long)(e->mtime_slack / NS_PER_S),
			 e->have & HAVE_EXACT_MTIME ? "true" : "false");
	if (e->have & HAVE_MODE)
		buf_addf(out, ", \"mode\": %u", e->mode);
	if (e->have & HAVE_TARGET)
		add_field(out, "target", e->target);
	buf_adds(out, "}");
}

static void add_entries(struct buf *out, const struct listing *l)
{
	buf_adds(out, ", \"entries\": [");
	for (size_t i = 0; i < l->n; i++) {
		buf_adds(out, i ? ", " : "");
		add_entry(out, &l->v[i]);
	}
	buf_adds(out, "]");
}

static int do_list(struct job *j)
{
	struct listing l;

	listing_init(&l, LISTING_MAX);
	int rc = remote_list(j->drive->remote, j->argv[0], &l, &j->ctx);
	if (rc == 0)
		add_entries(&j->out, &l);
	listing_free(&l);
	return rc;
}

static int do_stat(struct job *j)
{
	struct entry e = {0};
	unsigned want = j->argc > 1 ? (unsigned)strtoul(j->argv[1], NULL, 0)
				    : (unsigned)(HAVE_SIZE | HAVE_EXACT_MTIME);
	int rc = remote_stat(j->drive->remote, j->argv[0], want, &e, &j->ctx);

	if (rc == 0) {
		buf_adds(&j->out, ", \"entry\": ");
		add_entry(&j->out, &e);
	}
	entry_clear(&e);
	return rc;
}

static int ask_many(struct job *j, struct listing *l)
{
	struct entry **ask = calloc(l->n + 1, sizeof(struct entry *));
	size_t n = 0;

	if (!ask)
		return -ENOMEM;
	for (size_t i = 0; i < l->n; i++)
		if (l->v[i].type == ENTRY_FILE && !(l->v[i].have & HAVE_EXACT_MTIME))
			ask[n++] = &l->v[i];
	int rc = remote_stat_many(j->drive->remote, j->argv[0], ask, n, &j->ctx);
	free(ask);
	if (rc == 0)
		add_entries(&j->out, l);
	return rc;
}

/* statmany DIR NAME... */
static int do_statmany(struct job *j)
{
	struct listing l;
	int rc = 0;

	listing_init(&l, LISTING_MAX);
	for (int i = 1; i < j->argc && rc == 0; i++) {
		struct entry e = {.name = j->argv[i], .type = ENTRY_FILE};
		rc = listing_add(&l, &e);
	}
	rc = rc ? rc : ask_many(j, &l);
	listing_free(&l);
	return rc;
}

/* statall DIR: what `ls -l` needs: the listing, and the times that it left inexact */
static int do_statall(struct job *j)
{
	struct listing l;

	listing_init(&l, LISTING_MAX);
	int rc = remote_list(j->drive->remote, j->argv[0], &l, &j->ctx);
	rc = rc ? rc : ask_many(j, &l);
	listing_free(&l);
	return rc;
}

/* What was read: its length, its digest, and its first bytes. */
struct got {
	EVP_MD_CTX *md;
	struct buf head;
	long long n;
};

static void got_finish(struct got *g, struct buf *out)
{
	unsigned char digest[EVP_MAX_MD_SIZE];
	unsigned len = 0;

	EVP_DigestFinal_ex(g->md, digest, &len);
	buf_addf(out, ", \"bytes\": %lld, \"sha256\": \"", g->n);
	for (unsigned i = 0; i < len; i++)
		buf_addf(out, "%02x", digest[i]);
	buf_adds(out, "\", \"data\": ");
	add_string(out, buf_text(&g->head), g->head.len);
	EVP_MD_CTX_free(g->md);
	buf_free(&g->head);
}

/* `count` bytes, or to the end when it is negative. */
static int pull(struct job *j, struct stream *s, long long count)
{
	struct got g = {.md = EVP_MD_CTX_new()};
	static _Thread_local char block[1 << 16];
	int rc = 0;

	buf_init(&g.head, SHOW + 1);
	EVP_DigestInit_ex(g.md, EVP_sha256(), NULL);
	while (count != g.n) {
		size_t room = sizeof block;
		if (count >= 0 && count - g.n < (long long)room)
			room = (size_t)(count - g.n);
		ssize_t n = stream_read(s, block, room, &j->ctx);
		if (n <= 0) {
			rc = (int)n;
			break;
		}
		size_t show = (size_t)n < SHOW - g.head.len ? (size_t)n : SHOW - g.head.len;
		buf_add(&g.head, block, show);
		EVP_DigestUpdate(g.md, block, (size_t)n);
		g.n += n;
	}
	got_finish(&g, &j->out);
	return rc;
}

/* read PATH FROM COUNT */
static int do_read(struct job *j)
{
	struct stream *s;
	long long from = j->argc > 1 ? atoll(j->argv[1]) : 0;
	int rc = remote_open_read(j->drive->remote, j->argv[0], from, &s, &j->ctx);

	if (rc == 0) {
		rc = pull(j, s, j->argc > 2 ? atoll(j->argv[2]) : -1);
		stream_close(s);
	}
	return rc;
}

static struct stream **slot(struct job *j)
{
	unsigned long i = strtoul(j->argv[0], NULL, 10);

	return &j->drive->streams[i < STREAMS_MAX ? i : 0];
}

/* open SLOT PATH FROM; pull SLOT COUNT; park SLOT; close SLOT */
static int do_open(struct job *j)
{
	return remote_open_read(j->drive->remote, j->argv[1], j->argc > 2 ? atoll(j->argv[2]) : 0,
				slot(j), &j->ctx);
}

static int do_pull(struct job *j)
{
	return *slot(j) ? pull(j, *slot(j), j->argc > 1 ? atoll(j->argv[1]) : -1) : -EBADF;
}

static int do_park(struct job *j)
{
	if (!*slot(j))
		return -EBADF;
	stream_park(*slot(j));
	return 0;
}

static int do_close(struct job *j)
{
	struct stream *s = *slot(j);

	*slot(j) = NULL;
	if (!s)
		return -EBADF;
	stream_close(s);
	return 0;
}

/* "*N": N bytes of 0, 1, .. 250, 0, ..; anything else is the bytes themselves. */
static int feed(struct job *j, struct stream *s, const char *what)
{
	static _Thread_local char block[251 * 256];
	long long left = what[0] == '*' ? atoll(what + 1) : 0;
	int rc = 0;

	if (what[0] != '*')
		return *what ? stream_write(s, what, strlen(what), &j->ctx) : 0;
	for (size_t i = 0; i < sizeof block; i++)
		block[i] = (char)(i % 251);
	for (size_t n; left > 0 && rc == 0; left -= (long long)n) {
		n = left < (long long)sizeof block ? (size_t)left : sizeof block;
		rc = stream_write(s, block, n, &j->ctx);
	}
	return rc;
}

static int parse_how(const char *word, enum write_how *how)
{
	if (strcmp(word, "whole") == 0)
		*how = WRITE_WHOLE;
	else if (strcmp(word, "append") == 0)
		*how = WRITE_APPEND;
	else if (strcmp(word, "patch") == 0)
		*how = WRITE_PATCH;
	else
		return -EINVAL;
	return 0;
}

/* What a stream_finish() is asked to settle: [MODE|- [MTIME|- [hash [BYTES]]]] from the i-th
 * argument on. */
static struct settle wanted_settle(const struct job *j, int i)
{
	struct settle s = {.mode = REMOTE_KEEP_MODE, .mtime = REMOTE_KEEP_MTIME};

	if (j->argc > i && strcmp(j->argv[i], "-") != 0)
		s.mode = strtol(j->argv[i], NULL, 8);
	if (j->argc > i + 1 && strcmp(j->argv[i + 1], "-") != 0)
		s.mtime = atoll(j->argv[i + 1]) * NS_PER_S;
	if (j->argc > i + 2)
		s.hash = remote_hash_kind(j->drive->remote);
	if (j->argc > i + 3)
		s.hashed = atoll(j->argv[i + 3]);
	return s;
}

/* On a file beside the one that is to be patched, where nobody knows yet. */
static int find_out_patch(struct job *j)
{
	struct remote *r = j->drive->remote;
	struct buf temp;
	int rc = remote_can_patch(r, NULL, &j->ctx);

	if (rc != -EAGAIN)
		return rc;
	buf_init(&temp, PATH_LIMIT);
	rc = remote_temp_path(j->argv[0], &temp);
	if (rc == 0) {
		rc = remote_can_patch(r, buf_text(&temp), &j->ctx);
		remote_remove(r, buf_text(&temp), &j->ctx);
	}
	buf_free(&temp);
	return rc;
}

static void add_settled(struct buf *out, const struct settle *s)
{
	char digest[DIGEST_TEXT_SIZE];

	buf_adds(out, ", \"entry\": ");
	add_entry(out, &s->entry);
	if (s->hash == HASH_NONE)
		return;
	digest_print(&s->digest, digest);
	add_field(out, "hash", digest);
}

/* write PATH whole|append|patch AT [BYTES [MODE|- [MTIME|- [hash]]]]; the step that failed is told,
 * and what was settled in the same flight */
static int do_write(struct job *j)
{
	struct settle settle = wanted_settle(j, 4);
	enum write_how how;
	struct stream *s;
	const char *step = "open";
	int rc = parse_how(j->argv[1], &how);

	if (rc == 0 && how == WRITE_PATCH && atoll(j->argv[2]) > 0)
		rc = find_out_patch(j);
	rc = rc ? rc
		: remote_open_write(j->drive->remote, j->argv[0], how, atoll(j->argv[2]), &s,
				    &j->ctx);
	if (rc == 0) {
		step = "write";
		rc = feed(j, s, j->argc > 3 ? j->argv[3] : "");
		if (rc == 0) {
			step = "finish";
			rc = stream_finish(s, j->argc > 4 ? &settle : NULL, &j->ctx);
		}
		stream_close(s);
	}
	if (rc != 0)
		add_field(&j->out, "step", step);
	if (rc == 0 && settle.done)
		add_settled(&j->out, &settle);
	return rc;
}

/* settle PATH [MODE|- [MTIME|- [hash [BYTES]]]] */
static int do_settle(struct job *j)
{
	struct settle s = wanted_settle(j, 1);
	int rc = remote_settle(j->drive->remote, j->argv[0], &s, &j->ctx);

	if (rc == 0)
		add_settled(&j->out, &s);
	return rc;
}

static int do_mkdir(struct job *j)
{
	return remote_mkdir(j->drive->remote, j->argv[0], &j->ctx);
}

static int do_rmdir(struct job *j)
{
	return remote_rmdir(j->drive->remote, j->argv[0], &j->ctx);
}

static int do_remove(struct job *j)
{
	return remote_remove(j->drive->remote, j->argv[0], &j->ctx);
}

/* rename FROM TO [keep] */
static int do_rename(struct job *j)
{
	return remote_rename(j->drive->remote, j->argv[0], j->argv[1],
			     j->argc > 2 ? RENAME_KEEP_TARGET : RENAME_REPLACE_TARGET, &j->ctx);
}

static int do_set_mtime(struct job *j)
{
	return remote_set_mtime(j->drive->remote, j->argv[0], atoll(j->argv[1]) * NS_PER_S,
				&j->ctx);
}

static int do_set_mode(struct job *j)
{
	return remote_set_mode(j->drive->remote, j->argv[0], (uint32_t)strtoul(j->argv[1], NULL, 8),
			       &j->ctx);
}

/* can_set mode|mtime */
static int do_can_set(struct job *j)
{
	return remote_can_set(j->drive->remote,
			      strcmp(j->argv[0], "mode") == 0 ? REMOTE_MODE : REMOTE_MTIME);
}

/* symlink TARGET PATH */
static int do_symlink(struct job *j)
{
	return remote_symlink(j->drive->remote, j->argv[0], j->argv[1], &j->ctx);
}

static int do_copy(struct job *j)
{
	return remote_copy(j->drive->remote, j->argv[0], j->argv[1], &j->ctx);
}

static int do_readlink(struct job *j)
{
	struct buf target;

	buf_init(&target, 4096);
	int rc = remote_readlink(j->drive->remote, j->argv[0], &target, &j->ctx);
	if (rc == 0)
		add_field(&j->out, "target", buf_text(&target));
	buf_free(&target);
	return rc;
}

static int do_space(struct job *j)
{
	struct space space = {0};
	int rc = remote_space(j->drive->remote, &space, &j->ctx);

	if (rc == 0)
		buf_addf(&j->out, ", \"total\": %llu, \"free\": %llu",
			 (unsigned long long)space.total, (unsigned long long)space.free);
	return rc;
}

static int do_describe(struct job *j)
{
	struct buf text;

	buf_init(&text, 1 << 16);
	remote_describe(j->drive->remote, &text);
	add_field(&j->out, "text", buf_text(&text));
	buf_free(&text);
	return 0;
}

static int do_stats(struct job *j)
{
	for (int i = 0; i < STAT_COUNT; i++)
		buf_addf(&j->out, ", \"%s\": %lld", stats_name((enum stat_id)i),
			 (long long)stats_get((enum stat_id)i));
	return 0;
}

/* advance MS: ages pass without waiting */
static int do_advance(struct job *j)
{
	clock_advance(atoll(j->argv[0]) * NS_PER_MS);
	return 0;
}

static const struct op OPS[] = {
	{"list", 1, do_list},		{"stat", 1, do_stat},	      {"statmany", 2, do_statmany},
	{"statall", 1, do_statall},	{"read", 1, do_read},	      {"open", 2, do_open},
	{"pull", 1, do_pull},		{"park", 1, do_park},	      {"close", 1, do_close},
	{"write", 3, do_write},		{"settle", 1, do_settle},     {"mkdir", 1, do_mkdir},
	{"rmdir", 1, do_rmdir},		{"remove", 1, do_remove},     {"rename", 2, do_rename},
	{"set_mtime", 2, do_set_mtime}, {"set_mode", 2, do_set_mode}, {"symlink", 2, do_symlink},
	{"copy", 2, do_copy},		{"readlink", 1, do_readlink}, {"space", 0, do_space},
	{"describe", 0, do_describe},	{"stats", 0, do_stats},	      {"advance", 1, do_advance},
	{"can_set", 1, do_can_set},
};

const struct op *find_op(const char *name)
{
	for (size_t i = 0; i < sizeof OPS / sizeof OPS[0]; i++)
		if (strcmp(OPS[i].name, name) == 0)
			return &OPS[i];
	return NULL;
}
