/* ftp/hash - HASH, XSHA256, XMD5, ... */
#include "hash.h"

#include <string.h>

static bool takes_the_rest(const struct hash_way *way)
{
	return way->cap == CAP_HASH || way->cap == CAP_MD5;
}

bool hash_can_name(const struct hash_way *way, const char *arg)
{
	return takes_the_rest(way) || !strpbrk(arg, "\"\\");
}

int hash_command(const struct hash_way *way, const char *arg, struct buf *line)
{
	bool quote = !takes_the_rest(way) && strpbrk(arg, " \t");

	return buf_addf(line, quote ? "%s \"%s\"" : "%s %s", way->verb, arg);
}

void hash_answer(struct caps *c, const struct hash_way *way, const struct reply *r,
		 struct digest *out)
{
	out->kind = HASH_NONE;
	if (r->code / 100 != 2)
		caps_learn(c, way->cap, r->code);
	else if (reply_hash(r, way->kind, out) != 0)
		c->known[way->cap] = NO;
}

enum hash_kind ftp_hash_kind(struct remote *r)
{
	struct caps caps;
	struct hash_way way;

	pool_caps(((struct remote_ftp *)r)->pool, &caps);
	return caps_hash_way(&caps, HASH_NONE, &way) ? way.kind : HASH_NONE;
}
