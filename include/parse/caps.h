/* parse/caps - what a server can do, as far as is known.
 *
 * Each feature is YES (announced, or seen to work), NO (refused) or UNTRIED.  A plain value: the
 * pool owns the master copy and shares what one session learned with the others. */
#ifndef FTPFS_PARSE_CAPS_H
#define FTPFS_PARSE_CAPS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/hash.h"

struct reply;

enum cap {
	CAP_MLST,     /* MLST and MLSD, RFC 3659 section 7 */
	CAP_SIZE,     /* RFC 3659 section 4 */
	CAP_MDTM,     /* RFC 3659 section 3 */
	CAP_MDTM_SET, /* MDTM stamp path (vsftpd) */
	CAP_MFMT,     /* set mtime (draft-somers-ftp-mfxx) */
	CAP_MFMT_DIR, /* ... of a directory too */
	CAP_SITE_UTIME,
	CAP_SITE_CHMOD,
	CAP_SITE_SYMLINK,
	CAP_SITE_CPFR, /* SITE CPFR and SITE CPTO */
	CAP_SITE_COPY, /* SITE COPY, with both names (in FEAT: that or the pair) */
	CAP_REST,      /* RFC 3659 section 5 */
	CAP_RANG,
	CAP_APPE,
	CAP_EPSV,   /* RFC 2428 */
	CAP_EPRT,   /* RFC 2428; YES: the server was seen to call us, whatever FEAT says */
	CAP_LIST_A, /* LIST -a */
	CAP_AVBL,
	CAP_UTF8,
	CAP_NOOP,
	CAP_PATCH, /* REST + STOR keeps the bytes behind what is written (probed) */
	CAP_HASH,  /* HASH path, after OPTS HASH (draft-bryan-ftpext-hash) */
	CAP_XSHA256,
	CAP_XSHA512,
	CAP_XSHA1,
	CAP_XMD5,
	CAP_MD5, /* MD5 path (draft-twine-ftpmd5) */
	CAP_XCRC,
	CAP_COUNT
};

enum tristate { UNTRIED, YES, NO };

/* Quirks that no command reveals; from the greeting or from behaviour. */
enum {
	QUIRK_ONE_AT_A_TIME = 1, /* answers out of order or goes mute: never pipeline, never a hot
				  * data connection (aioftp, Twisted) */
	QUIRK_MLST_FOLLOWS = 2,	 /* MLST of a link answers for its target (ProFTPD) */
	QUIRK_SHORT_LINES = 4, /* a line over 512 bytes is executed in pieces (inetutils, NetKit) */
	QUIRK_WAITS_ITS_TURN = 8, /* reads no command while a transfer runs: EPSV for the next
				   * transfer may be sent right behind RETR or STOR (vsftpd) */
	QUIRK_BACKSLASH = 16,	  /* turns '\' into '/' (ftp-srv): such names are refused */
	QUIRK_LATIN1_ONLY = 32,	  /* cannot be sent non-ASCII names (Twisted) */
	QUIRK_EARLY_HELLO = 64,	  /* leaves a data connection alone until its transfer, so that the
				   * TLS handshake may begin while commands before it wait (vsftpd,
				   * ProFTPD, Pure-FTPd; pyftpdlib resets the connection) */
	QUIRK_AWAITS_GOODBYE = 128, /* ends a download under TLS when our close_notify has come,
				     * and looks for it only then: it may be sent ahead (vsftpd) */
};

struct caps {
	uint8_t known[CAP_COUNT]; /* enum tristate */
	unsigned quirks;
	bool mlst_mode;	 /* MLST facts carry UNIX.mode */
	uint8_t hashes;	 /* 1 << enum hash_kind, of those that CAP_HASH knows */
	bool zone_known; /* of the times in LIST: */
	int64_t zone;	 /* ns to add to a LIST time to get UTC */
};

/* Is the feature worth trying (YES or UNTRIED)? */
bool caps_may(const struct caps *c, enum cap cap);
/* Learn from the reply code to a command that needs `cap`: 500, 502, 504 (and 501 for commands
 * without an argument of the user's) mean NO, 2xx and 3xx mean YES, anything else says nothing
 * about it. Returns true when it changed. */
bool caps_learn(struct caps *c, enum cap cap, int code);
/* From FEAT (211, RFC 2389 section 3.2). MLST's list of facts tells mlst_mode, HASH's list of
 * algorithms `hashes`.  A feature that is not listed stays UNTRIED. */
void caps_from_feat(struct caps *c, const struct reply *feat);
/* From the text of the greeting (all lines). */
void caps_from_greeting(struct caps *c, const char *greeting);
const char *caps_name(enum cap cap);
/* By which of its commands does the server tell a file's hash?  Of `kind`, or, of HASH_NONE, of the
 * best kind: SHA-256, since SHA-512 proves no more and most processors are faster at the first,
 * then SHA-512, SHA-1, MD5, CRC32.  False: by none that it has announced. */
struct hash_way {
	enum hash_kind kind;
	enum cap cap;
	const char *verb;
};
bool caps_hash_way(const struct caps *c, enum hash_kind kind, struct hash_way *out);

#endif
