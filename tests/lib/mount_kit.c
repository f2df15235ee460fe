#include "mount_kit.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/clock.h"

struct fs *kit_mount(struct fs_conf *conf, struct mem_server *server, struct fault_plan *plan,
		     const char *cache, struct journal **journal)
{
	struct opctx ctx = opctx_for(OPCTX_FOREVER);
	struct fs *fs;

	assert_int_equal(journal_open_any(cache, KIT_TARGET, journal), 0);
	conf->remote = remote_fault_create(remote_mem_create(server), plan);
	conf->journal = *journal;
	conf->dcache_timeout = 20 * NS_PER_S;
	assert_int_equal(fs_create(conf, &fs), 0);
	assert_int_equal(fs_probe(fs, &ctx), 0);
	fs_recover(fs, &ctx);
	return fs;
}

void kit_unmount(struct fs *fs, struct journal *journal)
{
	fs_destroy(fs);
	journal_close(journal);
}
