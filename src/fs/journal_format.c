/* fs/journal_format - the journal's bytes. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/path.h"
#include "journal_private.h"
#include "remote.h"

enum { MAGIC = 0x6365726a, HEAD = 12, KIND_PROMISE = 1, KIND_DONE = 2 };
enum {
	WHOLE = 1,
	SHRUNK = 2,
	ON_SERVER = 4,
	LITTER = 8,
	PATCHING = 16,
	MOVES = 32, /* has a `from` */
	ALL_FLAGS = 63
};

static const char file_magic[8] = "ftpfsjnl";

/* CRC-32C (Castagnoli), reflected, four bits at a time.  Our own dozen lines, since no library that
 * is linked anyway has one. */
static uint32_t crc32c(const unsigned char *bytes, size_t n)
{
	static const uint32_t table[16] = {
		0x00000000, 0x105ec76f, 0x20bd8ede, 0x30e349b1, 0x417b1dbc, 0x5125dad3,
		0x61c69362, 0x7198540d, 0x82f63b78, 0x92a8fc17, 0xa24bb5a6, 0xb21572c9,
		0xc38d26c4, 0xd3d3e1ab, 0xe330a81a, 0xf36e6f75,
	};
	uint32_t crc = UINT32_MAX;

	for (size_t i = 0; i < n; i++) {
		crc = table[(crc ^ bytes[i]) & 15] ^ (crc >> 4);
		crc = table[(crc ^ (bytes[i] >> 4)) & 15] ^ (crc >> 4);
	}
	return ~crc;
}

/* ---- numbers ---- */

static void put(unsigned char *to, uint64_t value, size_t width)
{
	for (size_t i = 0; i < width; i++)
		to[i] = (unsigned char)(value >> (8 * i));
}

static uint64_t get(const unsigned char *from, size_t width)
{
	uint64_t value = 0;

	for (size_t i = 0; i < width; i++)
		value |= (uint64_t)from[i] << (8 * i);
	return value;
}

static void add(struct buf *out, uint64_t value, size_t width)
{
	unsigned char bytes[8];

	put(bytes, value, width);
	buf_add(out, bytes, width);
}

static void add_text(struct buf *out, const char *text)
{
	size_t n = strlen(text);

	add(out, n, 4);
	buf_add(out, text, n + 1);
}

/* What is left of a body; any take after its end says so in `bad`. */
struct rest {
	const unsigned char *at;
	size_t n;
	bool bad;
};

static const unsigned char *take(struct rest *r, size_t n)
{
	static const unsigned char nothing[8];
	const unsigned char *at = r->at;

	if (r->bad || n > r->n) {
		r->bad = true;
		return nothing;
	}
	r->at += n;
	r->n -= n;
	return at;
}

static uint64_t take_number(struct rest *r, size_t width)
{
	return get(take(r, width), width);
}

static char *take_text(struct rest *r)
{
	size_t n = (size_t)take_number(r, 4);
	const unsigned char *text = take(r, n + 1);

	if (!r->bad && (text[n] != '\0' || memchr(text, '\0', n)))
		r->bad = true;
	return r->bad ? NULL : (char *)text;
}

/* ---- header ---- */

void journal_write_header(unsigned char out[JOURNAL_HEADER])
{
	memcpy(out, file_magic, sizeof file_magic);
	put(out + 8, JOURNAL_VERSION, 4);
	put(out + 12, crc32c(out, 12), 4);
}

int journal_read_header(const unsigned char *bytes, size_t n, uint32_t *version)
{
	if (n < JOURNAL_HEADER || memcmp(bytes, file_magic, sizeof file_magic) != 0 ||
	    get(bytes + 12, 4) != crc32c(bytes, 12))
		return -EBADMSG;
	*version = (uint32_t)get(bytes + 8, 4);
	return *version == JOURNAL_VERSION ? 0 : -EPROTO;
}

/* ---- records ---- */

/* Everything but the ranges. */
static bool sound(const struct promise *p)
{
	return p->id && p->path && path_check(p->path) == 0 &&
	       (!p->from || (!p->litter && path_check(p->from) == 0)) && p->size >= 0 &&
	       p->base_size >= 0 && p->server_size >= -1 && p->mode >= REMOTE_KEEP_MODE &&
	       p->mode <= 07777;
}

/* Does a range follow that ended at `last`, in a file of that size? */
static bool range_sound(int64_t last, int64_t from, int64_t to, int64_t size)
{
	return from > last && from < to && to <= size;
}

static bool ranges_sound(const struct promise *p)
{
	int64_t last = -1;

	for (size_t i = 0; i < p->dirty.n; i++) {
		if (!range_sound(last, p->dirty.v[i].from, p->dirty.v[i].to, p->size))
			return false;
		last = p->dirty.v[i].to;
	}
	return p->dirty.n <= EXTENTS_MAX;
}

/* Magic, length, checksum, sequence, synced: by record_stamp(). */
static void begin(struct buf *out, uint64_t id, unsigned kind)
{
	static const char unstamped[HEAD + 16];

	buf_add(out, unstamped, sizeof unstamped);
	add(out, id, 8);
	add(out, kind, 1);
}

int record_promise(struct buf *out, const struct promise *p)
{
	if (!sound(p) || !ranges_sound(p))
		return -EINVAL;
	begin(out, p->id, KIND_PROMISE);
	add(out,
	    (p->whole ? WHOLE : 0) | (p->shrunk ? SHRUNK : 0) | (p->on_server ? ON_SERVER : 0) |
		    (p->litter ? LITTER : 0) | (p->patching ? PATCHING : 0) | (p->from ? MOVES : 0),
	    1);
	add(out, (uint64_t)p->size, 8);
	add(out, (uint64_t)p->base_size, 8);
	add(out, (uint64_t)p->server_size, 8);
	add(out, (uint64_t)p->server_mtime, 8);
	add(out, (uint64_t)p->mtime, 8);
	add(out, (uint64_t)p->mode, 8);
	add_text(out, p->path);
	if (p->from)
		add_text(out, p->from);
	add(out, p->dirty.n, 4);
	for (size_t i = 0; i < p->dirty.n; i++) {
		add(out, (uint64_t)p->dirty.v[i].from, 8);
		add(out, (uint64_t)p->dirty.v[i].to, 8);
	}
	return buf_error(out) == -EOVERFLOW ? -EFBIG : buf_error(out);
}

int record_done(struct buf *out, uint64_t id)
{
	begin(out, id, KIND_DONE);
	return buf_error(out);
}

void record_stamp(void *record, size_t length, uint64_t seq, uint64_t synced)
{
	unsigned char *bytes = record;

	put(bytes + 4, MAGIC, 4);
	put(bytes + 8, length - HEAD, 4);
	put(bytes + HEAD, seq, 8);
	put(bytes + HEAD + 8, synced, 8);
	put(bytes, crc32c(bytes + 4, length - 4), 4);
}

/* The length of a record whose checksum holds; 0: there is none. */
static size_t whole_record(const unsigned char *bytes, size_t n)
{
	size_t length;

	if (n < RECORD_FIXED || get(bytes + 4, 4) != MAGIC)
		return 0;
	length = HEAD + (size_t)get(bytes + 8, 4);
	if (length < RECORD_FIXED || length > JOURNAL_RECORD_MAX || length > n ||
	    get(bytes, 4) != crc32c(bytes + 4, length - 4))
		return 0;
	return length;
}

static bool read_ranges(struct rest *r, struct record *out)
{
	int64_t last = -1;

	out->range_count = (size_t)take_number(r, 4);
	if (out->range_count > EXTENTS_MAX)
		return false;
	out->ranges = take(r, 16 * out->range_count);
	for (size_t i = 0; !r->bad && i < out->range_count; i++) {
		int64_t from = (int64_t)get(out->ranges + 16 * i, 8);
		int64_t to = (int64_t)get(out->ranges + 16 * i + 8, 8);

		if (!range_sound(last, from, to, out->p.size))
			return false;
		last = to;
	}
	return true;
}

static bool read_promise(struct rest *r, struct record *out)
{
	unsigned flags = (unsigned)take_number(r, 1);
	struct promise *p = &out->p;

	p->id = out->id;
	p->whole = flags & WHOLE;
	p->shrunk = flags & SHRUNK;
	p->on_server = flags & ON_SERVER;
	p->litter = flags & LITTER;
	p->patching = flags & PATCHING;
	p->size = (int64_t)take_number(r, 8);
	p->base_size = (int64_t)take_number(r, 8);
	p->server_size = (int64_t)take_number(r, 8);
	p->server_mtime = (int64_t)take_number(r, 8);
	p->mtime = (int64_t)take_number(r, 8);
	p->mode = (int64_t)take_number(r, 8);
	p->path = take_text(r);
	if (flags & MOVES)
		p->from = take_text(r);
	return !r->bad && (flags & ~(unsigned)ALL_FLAGS) == 0 && sound(p) && read_ranges(r, out);
}

bool record_read(const unsigned char *bytes, size_t n, struct record *out)
{
	struct rest r = {.at = bytes + HEAD};
	uint64_t kind;

	memset(out, 0, sizeof *out);
	out->length = whole_record(bytes, n);
	if (!out->length)
		return false;
	r.n = out->length - HEAD;
	out->seq = take_number(&r, 8);
	out->synced = take_number(&r, 8);
	out->id = take_number(&r, 8);
	kind = take_number(&r, 1);
	out->is_promise = kind == KIND_PROMISE;
	if (!out->is_promise)
		return kind == KIND_DONE && out->id && r.n == 0;
	return read_promise(&r, out) && !r.bad && r.n == 0;
}

bool record_proves_damage(const unsigned char *bytes, size_t n, uint64_t seq)
{
	struct record r;

	for (size_t i = 0; i + RECORD_FIXED <= n; i++)
		if (get(bytes + i + 4, 4) == MAGIC && record_read(bytes + i, n - i, &r) &&
		    r.seq > seq && r.synced > seq)
			return true;
	return false;
}

int record_to_promise(const struct record *r, struct promise *out)
{
	*out = r->p;
	out->path = strdup(r->p.path);
	out->from = r->p.from ? strdup(r->p.from) : NULL;
	out->dirty = (struct extents){0};
	if (r->range_count)
		out->dirty.v = calloc(r->range_count, sizeof *out->dirty.v);
	if (!out->path || (r->p.from && !out->from) || (r->range_count && !out->dirty.v)) {
		promise_clear(out);
		return -ENOMEM;
	}
	out->dirty.n = out->dirty.cap = r->range_count;
	for (size_t i = 0; i < r->range_count; i++) {
		out->dirty.v[i].from = (int64_t)get(r->ranges + 16 * i, 8);
		out->dirty.v[i].to = (int64_t)get(r->ranges + 16 * i + 8, 8);
	}
	return 0;
}

bool promise_has_spool(const struct promise *p)
{
	return !p->litter && !p->from;
}

void promise_clear(struct promise *p)
{
	free(p->path);
	free(p->from);
	extents_free(&p->dirty);
	memset(p, 0, sizeof *p);
}
