/* half_open: a peer that never heard of the end is told of it.  The end is made silent with
 * TCP_REPAIR, which takes CAP_NET_ADMIN. */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "ftp/half_open.h"

static struct half_open half_open;
static int listener;
static struct sockaddr_in server;

static int setup(void **state)
{
	socklen_t len = sizeof server;

	(void)state;
	half_open_init(&half_open);
	listener = socket(AF_INET, SOCK_STREAM, 0);
	server = (struct sockaddr_in){.sin_family = AF_INET,
				      .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	assert_int_equal(bind(listener, (struct sockaddr *)&server, len), 0);
	assert_int_equal(getsockname(listener, (struct sockaddr *)&server, &len), 0);
	assert_int_equal(listen(listener, 64), 0);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	close(listener);
	half_open_destroy(&half_open);
	return 0;
}

/* Two ends of a connection: ours, and the server's in *theirs. */
static int connect_to(int *theirs)
{
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	assert_int_equal(connect(fd, (struct sockaddr *)&server, sizeof server), 0);
	*theirs = accept(listener, NULL, NULL);
	assert_true(*theirs >= 0);
	return fd;
}

/* As a reset does over a link that is down: nothing is sent. */
static void end_silently(int fd)
{
	static const int on = 1;

	if (setsockopt(fd, IPPROTO_TCP, TCP_REPAIR, &on, sizeof on) != 0) {
		print_message("skipped: TCP_REPAIR: %s\n", strerror(errno));
		skip();
	}
	close(fd);
}

static bool is_silent(int fd)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};

	return poll(&p, 1, 100) == 0;
}

static void assert_reset(int fd)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};
	char byte;

	assert_int_equal(poll(&p, 1, 10000), 1);
	assert_int_equal(recv(fd, &byte, 1, 0), -1);
	assert_int_equal(errno, ECONNRESET);
}

static void test_the_peer_learns_of_it(void **state)
{
	int theirs, ours = connect_to(&theirs);

	(void)state;
	half_open_note(&half_open, ours);
	end_silently(ours);
	assert_true(is_silent(theirs));
	half_open_end(&half_open);
	assert_reset(theirs);
	close(theirs);
}

/* Tried again, and in the end no more. */
static void test_it_is_forgotten(void **state)
{
	int theirs, ours = connect_to(&theirs);

	(void)state;
	half_open_note(&half_open, ours);
	close(ours);
	close(theirs);
	for (unsigned left = HALF_OPEN_TRIES; left > 0; left--) {
		assert_int_equal(half_open.n, 1);
		assert_int_equal(half_open.v[0].tries, left);
		half_open_end(&half_open);
		half_open_end(&half_open); /* not so soon */
		clock_advance(HALF_OPEN_PAUSE);
	}
	assert_int_equal(half_open.n, 0);
}

static void test_what_the_peer_ended_is_not_noted(void **state)
{
	int theirs, ours = connect_to(&theirs);
	struct pollfd p = {.fd = ours, .events = POLLIN};

	(void)state;
	close(theirs);
	assert_int_equal(poll(&p, 1, 10000), 1);
	half_open_note(&half_open, ours);
	assert_int_equal(half_open.n, 0);
	close(ours);
}

static void test_the_oldest_is_forgotten(void **state)
{
	struct sockaddr_in second;
	socklen_t len = sizeof second;

	(void)state;
	for (unsigned i = 0; i <= HALF_OPEN_MAX; i++) {
		int theirs, ours = connect_to(&theirs);

		half_open_note(&half_open, ours);
		if (i == 1)
			assert_int_equal(getsockname(ours, (struct sockaddr *)&second, &len), 0);
		close(ours);
		close(theirs);
	}
	assert_int_equal(half_open.n, HALF_OPEN_MAX);
	assert_int_equal(half_open.v[0].here.four.sin_port, second.sin_port);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_the_peer_learns_of_it, setup, teardown),
		cmocka_unit_test_setup_teardown(test_it_is_forgotten, setup, teardown),
		cmocka_unit_test_setup_teardown(test_what_the_peer_ended_is_not_noted, setup,
						teardown),
		cmocka_unit_test_setup_teardown(test_the_oldest_is_forgotten, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
