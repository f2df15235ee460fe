/* mount_kit - a filesystem as a mount has it: over the server in memory, with faults and a journal.
 */
#ifndef FTPFS_TESTS_MOUNT_KIT_H
#define FTPFS_TESTS_MOUNT_KIT_H

#include "fs/fs.h"
#include "fs/journal.h"
#include "remote_fault.h"
#include "remote_mem.h"

#define KIT_TARGET "user@host:21/"

/* conf->remote, journal and dcache_timeout are the kit's.  What the journal owes is recovered; any
 * error fails the test. */
struct fs *kit_mount(struct fs_conf *conf, struct mem_server *server, struct fault_plan *plan,
		     const char *cache, struct journal **journal);
void kit_unmount(struct fs *fs, struct journal *journal);

#endif
