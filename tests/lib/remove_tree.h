/* remove_tree - a directory of a test goes, with all that is in it, whoever needs it in life. */
#ifndef FTPFS_TESTS_REMOVE_TREE_H
#define FTPFS_TESTS_REMOVE_TREE_H

/* Aborts when something stays. */
void remove_tree(const char *path);

#endif
