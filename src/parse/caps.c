/* parse/caps - what a server can do, as far as is known. */
#include "parse/caps.h"

#include <string.h>
#include <strings.h>

#include "parse/reply.h"

static const char *const names[CAP_COUNT] = {
	[CAP_MLST] = "MLST",
	[CAP_SIZE] = "SIZE",
	[CAP_MDTM] = "MDTM",
	[CAP_MDTM_SET] = "MDTM set",
	[CAP_MFMT] = "MFMT",
	[CAP_MFMT_DIR] = "MFMT of directories",
	[CAP_SITE_UTIME] = "SITE UTIME",
	[CAP_SITE_CHMOD] = "SITE CHMOD",
	[CAP_SITE_SYMLINK] = "SITE SYMLINK",
	[CAP_SITE_CPFR] = "SITE CPFR",
	[CAP_SITE_COPY] = "SITE COPY",
	[CAP_REST] = "REST",
	[CAP_RANG] = "RANG",
	[CAP_APPE] = "APPE",
	[CAP_EPSV] = "EPSV",
	[CAP_EPRT] = "EPRT",
	[CAP_LIST_A] = "LIST -a",
	[CAP_AVBL] = "AVBL",
	[CAP_UTF8] = "UTF8",
	[CAP_NOOP] = "NOOP",
	[CAP_PATCH] = "REST+STOR",
	[CAP_HASH] = "HASH",
	[CAP_XSHA256] = "XSHA256",
	[CAP_XSHA512] = "XSHA512",
	[CAP_XSHA1] = "XSHA1",
	[CAP_XMD5] = "XMD5",
	[CAP_MD5] = "MD5",
	[CAP_XCRC] = "XCRC",
};

/* What FEAT calls it, in one word and maybe a second one. */
struct feature {
	const char *word;
	const char *second; /* NULL: whatever follows */
	enum cap cap;
};

static const struct feature features[] = {
	{"MLST", NULL, CAP_MLST},	{"MLSD", NULL, CAP_MLST},
	{"SIZE", NULL, CAP_SIZE},	{"MDTM", NULL, CAP_MDTM},
	{"MFMT", NULL, CAP_MFMT},	{"REST", "STREAM", CAP_REST},
	{"RANG", "STREAM", CAP_RANG},	{"EPSV", NULL, CAP_EPSV},
	{"AVBL", NULL, CAP_AVBL},	{"UTF8", NULL, CAP_UTF8},
	{"APPE", NULL, CAP_APPE},	{"HASH", NULL, CAP_HASH},
	{"XSHA256", NULL, CAP_XSHA256}, {"XSHA512", NULL, CAP_XSHA512},
	{"XSHA1", NULL, CAP_XSHA1},	{"XMD5", NULL, CAP_XMD5},
	{"MD5", NULL, CAP_MD5},		{"XCRC", NULL, CAP_XCRC},
};

static const struct feature site_features[] = {
	{"UTIME", NULL, CAP_SITE_UTIME}, {"CHMOD", NULL, CAP_SITE_CHMOD},
	{"COPY", NULL, CAP_SITE_COPY},	 {"SYMLINK", NULL, CAP_SITE_SYMLINK},
	{"CPFR", NULL, CAP_SITE_CPFR},
};

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

bool caps_may(const struct caps *c, enum cap cap)
{
	return c->known[cap] != NO;
}

const char *caps_name(enum cap cap)
{
	return names[cap];
}

/* Does 501 (bad argument) blame the command?  Only when the argument is always the same. */
static bool has_fixed_argument(enum cap cap)
{
	return cap == CAP_EPSV || cap == CAP_NOOP || cap == CAP_LIST_A || cap == CAP_UTF8;
}

bool caps_learn(struct caps *c, enum cap cap, int code)
{
	uint8_t was = c->known[cap];

	if (code >= 200 && code < 400)
		c->known[cap] = YES;
	else if (code == 500 || code == 502 || code == 504)
		c->known[cap] = NO;
	else if (code == 501 && has_fixed_argument(cap))
		c->known[cap] = NO;
	return c->known[cap] != was;
}

static bool is_word(const char *text, size_t len, const char *word)
{
	return strlen(word) == len && strncasecmp(text, word, len) == 0;
}

/* A line, or the rest of one, as words. */
struct words {
	const char *at, *end;
	const char *separators;
};

static size_t next_word(struct words *w, const char **word)
{
	while (w->at < w->end && strchr(w->separators, *w->at))
		w->at++;
	*word = w->at;
	while (w->at < w->end && !strchr(w->separators, *w->at))
		w->at++;
	return (size_t)(w->at - *word);
}

/* "SITE SYMLINK" on a line of its own, or "SITE MKDIR;SYMLINK;UTIME". */
static void learn_site(struct caps *c, struct words rest)
{
	const char *word;
	size_t len;

	rest.separators = " \t;,";
	while ((len = next_word(&rest, &word)))
		for (size_t i = 0; i < COUNT(site_features); i++)
			if (is_word(word, len, site_features[i].word))
				c->known[site_features[i].cap] = YES;
}

/* "MLST type*;size*;UNIX.mode*;": with a star or without, since OPTS MLST can ask for it. */
static void learn_facts(struct caps *c, struct words rest)
{
	const char *word;
	size_t len;

	rest.separators = " \t;*";
	while ((len = next_word(&rest, &word)))
		if (is_word(word, len, "UNIX.mode"))
			c->mlst_mode = true;
}

/* "HASH CRC32;SHA-1*;SHA-256;": the star is the one that OPTS HASH would change. */
static void learn_hashes(struct caps *c, struct words rest)
{
	const char *word;
	size_t len;

	rest.separators = " \t;*";
	while ((len = next_word(&rest, &word)))
		for (unsigned kind = HASH_NONE + 1; kind < HASH_KINDS; kind++)
			if (is_word(word, len, hash_ftp_name((enum hash_kind)kind)))
				c->hashes = (uint8_t)(c->hashes | 1U << kind);
}

static void learn_feature(struct caps *c, const char *line, size_t n)
{
	struct words rest = {.at = line, .end = line + n, .separators = " \t"};
	struct words second;
	const char *word, *argument;
	size_t len = next_word(&rest, &word);
	size_t argument_len;

	if (is_word(word, len, "SITE"))
		learn_site(c, rest);
	if (is_word(word, len, "MLST"))
		learn_facts(c, rest);
	if (is_word(word, len, "HASH"))
		learn_hashes(c, rest);
	second = rest;
	argument_len = next_word(&second, &argument);
	for (size_t i = 0; i < COUNT(features); i++) {
		const struct feature *f = &features[i];

		if (is_word(word, len, f->word) &&
		    (!f->second || is_word(argument, argument_len, f->second)))
			c->known[f->cap] = YES;
	}
}

void caps_from_feat(struct caps *c, const struct reply *feat)
{
	const char *line = buf_text(&feat->text);

	if (feat->code != 211)
		return;
	while (*line) {
		size_t n = strcspn(line, "\n");

		learn_feature(c, line, n);
		line += n + (line[n] == '\n');
	}
}

/* aioftp says this word and nothing else. */
static bool is_only_welcome(const char *greeting)
{
	size_t n = strcspn(greeting, " \t\r\n");

	return is_word(greeting, n, "welcome") &&
	       greeting[n + strspn(greeting + n, " \t\r\n")] == '\0';
}

void caps_from_greeting(struct caps *c, const char *greeting)
{
	if (strstr(greeting, "Twisted"))
		c->quirks |= QUIRK_ONE_AT_A_TIME | QUIRK_LATIN1_ONLY;
	if (is_only_welcome(greeting))
		c->quirks |= QUIRK_ONE_AT_A_TIME;
	if (strstr(greeting, "vsFTPd"))
		c->quirks |= QUIRK_WAITS_ITS_TURN | QUIRK_EARLY_HELLO | QUIRK_AWAITS_GOODBYE;
	if (strstr(greeting, "ProFTPD"))
		c->quirks |= QUIRK_MLST_FOLLOWS | QUIRK_EARLY_HELLO;
	if (strstr(greeting, "Pure-FTPd"))
		c->quirks |= QUIRK_EARLY_HELLO;
	if (strstr(greeting, "inetutils") || strstr(greeting, "Linux-ftpd") ||
	    strstr(greeting, "Version 6.4"))
		c->quirks |= QUIRK_SHORT_LINES;
	if (strncmp(greeting, "Features:", strlen("Features:")) == 0)
		c->quirks |= QUIRK_BACKSLASH;
}

static const struct hash_way hash_ways[] = {
	{HASH_SHA256, CAP_HASH, "HASH"}, {HASH_SHA256, CAP_XSHA256, "XSHA256"},
	{HASH_SHA512, CAP_HASH, "HASH"}, {HASH_SHA512, CAP_XSHA512, "XSHA512"},
	{HASH_SHA1, CAP_HASH, "HASH"},	 {HASH_SHA1, CAP_XSHA1, "XSHA1"},
	{HASH_MD5, CAP_HASH, "HASH"},	 {HASH_MD5, CAP_XMD5, "XMD5"},
	{HASH_MD5, CAP_MD5, "MD5"},	 {HASH_CRC32, CAP_HASH, "HASH"},
	{HASH_CRC32, CAP_XCRC, "XCRC"},
};

/* OPTS HASH has chosen one for the session: the best one. */
static bool is_chosen(const struct caps *c, enum hash_kind kind)
{
	for (size_t i = 0; i < COUNT(hash_ways); i++)
		if (hash_ways[i].cap == CAP_HASH && (c->hashes & 1U << hash_ways[i].kind))
			return hash_ways[i].kind == kind;
	return false;
}

bool caps_hash_way(const struct caps *c, enum hash_kind kind, struct hash_way *out)
{
	for (size_t i = 0; i < COUNT(hash_ways); i++) {
		const struct hash_way *way = &hash_ways[i];

		if (c->known[way->cap] != YES || (kind != HASH_NONE && way->kind != kind) ||
		    (way->cap == CAP_HASH && !is_chosen(c, way->kind)))
			continue;
		*out = *way;
		return true;
	}
	return false;
}
