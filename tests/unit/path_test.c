/* path_test - names, paths, and links that may not leave the mount. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/path.h"

typedef int (*to_path)(struct buf *out, const char *a, const char *b);

static void check_text(to_path f, const char *a, const char *b, const char *want)
{
	struct buf out;

	buf_init(&out, 8192);
	buf_adds(&out, "kept:");
	assert_int_equal(f(&out, a, b), 0);
	assert_memory_equal(buf_text(&out), "kept:", 5);
	assert_string_equal(buf_text(&out) + 5, want);
	buf_free(&out);
}

static int parent(struct buf *out, const char *path, const char *unused)
{
	(void)unused;
	return path_parent(out, path);
}

static int normalise(struct buf *out, const char *path, const char *unused)
{
	(void)unused;
	return path_normalise(out, path);
}

static int decode(struct buf *out, const char *text, const char *unused)
{
	(void)unused;
	return path_percent_decode(out, text, strlen(text));
}

static void test_names(void **state)
{
	char longest[NAME_LIMIT + 2];

	(void)state;
	memset(longest, 'x', sizeof(longest));
	assert_int_equal(path_check_name("a", 1), 0);
	assert_int_equal(path_check_name("...", 3), 0);
	assert_int_equal(path_check_name("\xff\x01 ", 3), 0);
	assert_int_equal(path_check_name("", 0), -EINVAL);
	assert_int_equal(path_check_name(".", 1), -EINVAL);
	assert_int_equal(path_check_name("..", 2), -EINVAL);
	assert_int_equal(path_check_name("a/b", 3), -EINVAL);
	assert_int_equal(path_check_name("a\rb", 3), -EINVAL);
	assert_int_equal(path_check_name("a\nb", 3), -EINVAL);
	assert_int_equal(path_check_name("a\0b", 3), -EINVAL);
	assert_int_equal(path_check_name(longest, NAME_LIMIT), 0);
	assert_int_equal(path_check_name(longest, NAME_LIMIT + 1), -ENAMETOOLONG);
}

static void test_paths(void **state)
{
	char longest[PATH_LIMIT + 2];

	(void)state;
	for (size_t i = 0; i < sizeof(longest); i++)
		longest[i] = i % 2 ? 'x' : '/';
	longest[PATH_LIMIT + 1] = '\0';
	assert_int_equal(path_check(longest), -ENAMETOOLONG);
	longest[PATH_LIMIT - 1] = '\0';
	assert_int_equal(path_check(longest), 0);
	assert_int_equal(path_check("/"), 0);
	assert_int_equal(path_check("/a/b c"), 0);
	assert_int_equal(path_check(""), -EINVAL);
	assert_int_equal(path_check("a"), -EINVAL);
	assert_int_equal(path_check("//"), -EINVAL);
	assert_int_equal(path_check("/a/"), -EINVAL);
	assert_int_equal(path_check("/a//b"), -EINVAL);
	assert_int_equal(path_check("/a/../b"), -EINVAL);
	assert_int_equal(path_check("/a/."), -EINVAL);
	assert_int_equal(path_check("/a\r\nDELE b"), -EINVAL);
}

static void test_join_and_split(void **state)
{
	char name[PATH_LIMIT];
	struct buf out;

	(void)state;
	check_text(path_join, "/", "a", "/a");
	check_text(path_join, "/a", "b", "/a/b");
	check_text(parent, "/", NULL, "/");
	check_text(parent, "/a", NULL, "/");
	check_text(parent, "/a/b", NULL, "/a");
	assert_string_equal(path_name("/"), "");
	assert_string_equal(path_name("/a/b"), "b");
	memset(name, 'x', sizeof(name));
	name[PATH_LIMIT - 1] = '\0';
	buf_init(&out, 2 * PATH_LIMIT);
	assert_int_equal(path_join(&out, "/", name), 0);
	assert_int_equal(out.len, PATH_LIMIT);
	assert_int_equal(path_join(&out, "/a", name), -ENAMETOOLONG);
	buf_free(&out);
}

static void test_below(void **state)
{
	(void)state;
	assert_true(path_below("/foo", "/foo"));
	assert_true(path_below("/foo/bar", "/foo"));
	assert_true(path_below("/foo", "/"));
	assert_true(path_below("/", "/"));
	assert_false(path_below("/foobar", "/foo"));
	assert_false(path_below("/", "/foo"));
	assert_false(path_below("/fo", "/foo"));
}

static void test_percent(void **state)
{
	struct buf out;

	(void)state;
	check_text(decode, "a%20b%2fc%FF", NULL, "a b/c\xff");
	check_text(decode, "", NULL, "");
	buf_init(&out, 100);
	assert_int_equal(decode(&out, "a%0Ab", NULL), -EINVAL);
	assert_int_equal(decode(&out, "a%0db", NULL), -EINVAL);
	assert_int_equal(decode(&out, "a%00b", NULL), -EINVAL);
	assert_int_equal(decode(&out, "a%", NULL), -EINVAL);
	assert_int_equal(decode(&out, "a%4", NULL), -EINVAL);
	assert_int_equal(decode(&out, "a%4g", NULL), -EINVAL);
	assert_int_equal(decode(&out, "a\nb", NULL), -EINVAL);
	assert_string_equal(buf_text(&out), "");
	buf_free(&out);
}

static void test_normalise(void **state)
{
	(void)state;
	check_text(normalise, "", NULL, "");
	check_text(normalise, "/", NULL, "/");
	check_text(normalise, "//a/./b//c/", NULL, "/a/b/c");
	check_text(normalise, "/a/../../b", NULL, "/b");
	check_text(normalise, "/..", NULL, "/");
	check_text(normalise, "a/b/..", NULL, "a");
	check_text(normalise, "../a", NULL, "a");
	check_text(normalise, "a/..", NULL, "");
	check_text(normalise, "./...", NULL, "...");
}

struct link_case {
	const char *root, *dir, *target;
	const char *want; /* NULL: -EPERM */
};

static const struct link_case links[] = {
	/* inside, relative: as it stands */
	{"/srv", "/", "a", "a"},
	{"/srv", "/d", "../a/b", "../a/b"},
	{"/srv", "/d", "./a", "./a"},
	{"/srv", "/d/e", "../..", "../.."},
	{"/srv", "/d", "a/", "a/"},
	/* absolute on the server: the same place in the mount */
	{"/srv", "/", "/srv/a", "a"},
	{"/srv", "/d", "/srv/a", "../a"},
	{"/srv", "/d/e", "/srv/d/f/g", "../f/g"},
	{"/srv", "/d", "/srv", ".."},
	{"/srv", "/", "/srv/", "."},
	{"/srv", "/d", "/srv/d", "."},
	{"/srv", "/ab", "/srv/a", "../a"},
	{"/srv/", "/d", "/srv//x/../a", "../a"},
	{"/", "/d", "/a", "../a"},
	{"/", "/d", "/", ".."},
	/* by way of what is above the mount */
	{"/srv", "/d", "../../srv/a", "../a"},
	{"/", "/d", "../../../a", "../a"},
	/* ".." behind a name, which may be a link to the root */
	{"/srv", "/d", "x/../y", "y"},
	{"/srv", "/", "x/../y", "y"},
	{"/srv", "/d", "x/../../y", "../y"},
	/* outside */
	{"/srv", "/", "..", NULL},
	{"/srv", "/d", "../../etc/passwd", NULL},
	{"/srv", "/d", "/etc/passwd", NULL},
	{"/srv", "/d", "/srvother", NULL},
	{"/srv", "/d", "/", NULL},
	{"/srv", "/d", "/srv/../etc", NULL},
	{"/srv", "/d", "x/../../../etc", NULL},
};

static const struct link_case made[] = {
	{"/", "/", "x", "/x"},
	{"/", "/d", "x", "/d/x"},
	{"/", "/d/e", "../x", "/d/x"},
	{"/", "/", "../x", "/x"},
	{"/srv", "/d", "./x//y", "/srv/d/x/y"},
	{"/srv", "/d", "..", "/srv"},
	{"/srv", "/d", "../..", NULL},
	{"/srv", "/d", "../../srvother", NULL},
};

static void check_links(const struct link_case *c, size_t n,
			int (*show)(struct buf *out, const char *root, const char *dir,
				    const char *target))
{
	for (; n > 0; n--, c++) {
		struct buf out;
		int error;

		buf_init(&out, PATH_LIMIT);
		error = show(&out, c->root, c->dir, c->target);
		if (c->want ? error != 0 || strcmp(buf_text(&out), c->want) != 0 : error != -EPERM)
			fail_msg("%s %s %s: %d \"%s\"", c->root, c->dir, c->target, error,
				 buf_text(&out));
		buf_free(&out);
	}
}

static void test_links_stay_inside(void **state)
{
	(void)state;
	check_links(links, sizeof(links) / sizeof(links[0]), path_contain_link);
}

static void test_links_that_are_made(void **state)
{
	(void)state;
	check_links(made, sizeof(made) / sizeof(made[0]), path_aim_link);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_paths),
		cmocka_unit_test(test_join_and_split),
		cmocka_unit_test(test_below),
		cmocka_unit_test(test_percent),
		cmocka_unit_test(test_normalise),
		cmocka_unit_test(test_links_stay_inside),
		cmocka_unit_test(test_links_that_are_made),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
