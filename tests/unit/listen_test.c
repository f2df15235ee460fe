/* listen: which ends can call each other, and who is let in */
#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "ftp/listen.h"

static struct sockaddr_storage address(const char *text)
{
	struct sockaddr_storage a = {0};
	struct sockaddr_in *four = (struct sockaddr_in *)&a;
	struct sockaddr_in6 *six = (struct sockaddr_in6 *)&a;

	a.ss_family = strchr(text, ':') ? AF_INET6 : AF_INET;
	assert_int_equal(inet_pton(a.ss_family, text,
				   a.ss_family == AF_INET6 ? (void *)&six->sin6_addr
							   : (void *)&four->sin_addr),
			 1);
	return a;
}

static bool reachable(const char *local, const char *peer)
{
	struct sockaddr_storage a = address(local), b = address(peer);

	return listen_reachable((struct sockaddr *)&a, (struct sockaddr *)&b);
}

static void test_same_scope(void **state)
{
	static const char *const SAME[][2] = {
		{"127.0.0.1", "127.9.9.9"},
		{"10.0.0.1", "192.168.255.255"},
		{"172.16.0.0", "172.31.255.255"},
		{"169.254.1.1", "10.1.1.1"},
		{"100.64.0.1", "100.127.255.255"},
		{"192.0.2.1", "198.51.100.9"},
		{"::1", "::1"},
		{"fd00::1", "fc00::9"},
		{"2001:db8::1", "2a00::1"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof SAME / sizeof SAME[0]; i++) {
		assert_true(reachable(SAME[i][0], SAME[i][1]));
		assert_true(reachable(SAME[i][1], SAME[i][0]));
	}
}

static void test_something_translates(void **state)
{
	static const char *const OTHER[][2] = {
		{"192.168.1.7", "198.51.100.9"},
		{"10.0.0.1", "127.0.0.1"},
		{"172.15.255.255", "10.0.0.1"},
		{"172.32.0.0", "10.0.0.1"},
		{"100.63.255.255", "10.0.0.1"},
		{"100.128.0.0", "10.0.0.1"},
		{"0.0.0.0", "0.0.0.0"},
		{"224.0.0.1", "224.0.0.2"},
		{"fd00::1", "2001:db8::1"},
		{"fe80::1", "fe80::2"},
		{"::1", "fd00::1"},
		{"::ffff:10.0.0.1", "::ffff:10.0.0.2"},
		{"127.0.0.1", "::1"},
		{"::", "::"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof OTHER / sizeof OTHER[0]; i++) {
		assert_false(reachable(OTHER[i][0], OTHER[i][1]));
		assert_false(reachable(OTHER[i][1], OTHER[i][0]));
	}
}

/* A connected pair: the "control connection" between 127.0.0.1 and itself. */
static void connect_pair(int *client, int *server)
{
	struct sockaddr_storage at = address("127.0.0.1");
	socklen_t len = sizeof at;
	int listener = socket(AF_INET, SOCK_STREAM, 0);

	assert_int_equal(bind(listener, (struct sockaddr *)&at, sizeof(struct sockaddr_in)), 0);
	assert_int_equal(listen(listener, 1), 0);
	assert_int_equal(getsockname(listener, (struct sockaddr *)&at, &len), 0);
	*client = socket(AF_INET, SOCK_STREAM, 0);
	assert_int_equal(connect(*client, (struct sockaddr *)&at, len), 0);
	*server = accept(listener, NULL, NULL);
	assert_true(*server >= 0);
	close(listener);
}

static int call_from(const char *from, uint16_t port)
{
	struct sockaddr_storage source = address(from), to = address("127.0.0.1");
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	((struct sockaddr_in *)&to)->sin_port = htons(port);
	assert_int_equal(bind(fd, (struct sockaddr *)&source, sizeof(struct sockaddr_in)), 0);
	assert_int_equal(connect(fd, (struct sockaddr *)&to, sizeof(struct sockaddr_in)), 0);
	return fd;
}

static void await_caller(int listener)
{
	struct pollfd p = {.fd = listener, .events = POLLIN};

	assert_int_equal(poll(&p, 1, 5000), 1);
}

static void test_only_the_peer_gets_in(void **state)
{
	int client, server;
	unsigned port;
	struct buf argument;

	(void)state;
	connect_pair(&client, &server);
	assert_true(listen_worthwhile(client));
	buf_init(&argument, 80);
	int listener = listen_open(client);
	assert_true(listener >= 0);
	assert_int_equal(listen_say(listener, &argument), 0);
	assert_int_equal(sscanf(buf_text(&argument), "|1|127.0.0.1|%u|", &port), 1);
	assert_int_equal(listen_accept(listener, client), -EAGAIN);

	int stranger = call_from("127.0.0.2", (uint16_t)port);
	await_caller(listener);
	assert_int_equal(listen_accept(listener, client), -EAGAIN);
	char byte;
	assert_true(recv(stranger, &byte, 1, 0) <= 0); /* closed */

	int caller = call_from("127.0.0.1", (uint16_t)port);
	await_caller(listener);
	int fd = listen_accept(listener, client);
	assert_true(fd >= 0);
	assert_int_equal(send(caller, "x", 1, 0), 1);
	await_caller(fd);
	assert_int_equal(recv(fd, &byte, 1, 0), 1);
	assert_int_equal(byte, 'x');

	int all[] = {fd, caller, stranger, listener, client, server};
	for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
		close(all[i]);
	buf_free(&argument);
}

static void test_not_connected(void **state)
{
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	(void)state;
	assert_false(listen_worthwhile(fd));
	assert_int_equal(listen_open(fd), -ENOTCONN);
	close(fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_same_scope),
		cmocka_unit_test(test_something_translates),
		cmocka_unit_test(test_only_the_peer_gets_in),
		cmocka_unit_test(test_not_connected),
	};

	return cmocka_run_group_tests_name("listen", tests, NULL, NULL);
}
