/* wanlink - a wide-area link between two network namespaces, in user space.
 *
 *   wanlink NS_A ADDR_A/LEN NS_B ADDR_B/LEN [rtt=MS] [rate=MBIT] [loss=PERCENT] [queue=MS]
 * [name=WAN]
 *
 * Each end is a TUN device, NAME-a and NAME-b ("-": the namespace it is started in).  Every packet
 * is serialised at `rate` (0: no limit; more than `queue` ms of backlog is dropped, as a router
 * would), `loss` percent are lost at random (fixed seed), and the rest arrive rtt/2 later.  Kernels
 * built without sch_netem can do this too.  Prints "up" once both ends are; needs root,
 * /dev/net/tun and ip(8).
 *
 *   SIGUSR1  cut the cable: every packet is dropped, nothing is reset
 *   SIGUSR2  mend it
 *   SIGTERM  stop
 */
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

enum { MTU = 1500, SLOTS = 16384 };

struct packet {
	uint64_t due; /* ns, CLOCK_MONOTONIC */
	size_t len;
	unsigned char bytes[MTU];
};

/* One direction: receive() alone reads `in`, deliver() alone writes `out`. */
struct direction {
	int in, out;
	uint64_t line_free;  /* ns: when the wire will have sent all that was accepted; receive()'s
				own */
	unsigned seed;	     /* receive()'s own */
	struct packet *ring; /* SLOTS entries, [tail, head) are in flight */
	unsigned head, tail; /* guarded by lock */
	pthread_mutex_t lock;
	pthread_cond_t moved;
};

static struct {
	double rtt_ms, rate_mbit, loss_percent, queue_ms;
	char name[12];
} settings = {.rtt_ms = 20, .queue_ms = 200, .name = "wan"};

static atomic_bool cut;

static void die(const char *what)
{
	perror(what);
	exit(1);
}

static uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static int enter_namespace(const char *ns)
{
	char path[256];
	int home = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);

	snprintf(path, sizeof path, "/run/netns/%s", ns);
	int there = open(path, O_RDONLY | O_CLOEXEC);
	if (home < 0 || there < 0 || setns(there, CLONE_NEWNET) != 0)
		die(path);
	close(there);
	return home;
}

static int open_tun(const char *ns, const char *end, const char *address)
{
	bool away = strcmp(ns, "-") != 0;
	int home = away ? enter_namespace(ns) : -1;
	char name[IFNAMSIZ], command[256];
	struct ifreq request = {.ifr_flags = IFF_TUN | IFF_NO_PI};

	snprintf(name, sizeof name, "%s-%s", settings.name, end);
	memcpy(request.ifr_name, name, sizeof name);
	int fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC);
	if (fd < 0 || ioctl(fd, TUNSETIFF, &request) != 0)
		die("/dev/net/tun");
	snprintf(command, sizeof command,
		 "ip addr add %s dev %s && ip link set %s mtu %d txqueuelen 8000 up && "
		 "ip link set lo up",
		 address, name, name, MTU);
	if (system(command) != 0)
		exit(1);
	if (away && setns(home, CLONE_NEWNET) != 0)
		die("setns");
	if (away)
		close(home);
	return fd;
}

/* When a packet of n bytes that comes now has been sent, or 0 when it is lost. */
static uint64_t serialise(struct direction *d, size_t n)
{
	uint64_t now = now_ns();
	uint64_t sent = d->line_free > now ? d->line_free : now;

	if (atomic_load(&cut) || (double)rand_r(&d->seed) < settings.loss_percent / 100 * RAND_MAX)
		return 0;
	if (settings.rate_mbit > 0)
		sent += (uint64_t)((double)n * 8 * 1000 / settings.rate_mbit);
	if ((double)(sent - now) > settings.queue_ms * 1e6)
		return 0;
	d->line_free = sent;
	return sent;
}

static void *receive(void *arg)
{
	struct direction *d = arg;

	for (;;) {
		pthread_mutex_lock(&d->lock);
		while (d->head - d->tail == SLOTS)
			pthread_cond_wait(&d->moved, &d->lock);
		struct packet *p = &d->ring[d->head % SLOTS];
		pthread_mutex_unlock(&d->lock);

		ssize_t n = read(d->in, p->bytes, sizeof p->bytes);
		uint64_t sent = n > 0 ? serialise(d, (size_t)n) : 0;
		if (sent == 0)
			continue;
		p->len = (size_t)n;
		p->due = sent + (uint64_t)(settings.rtt_ms / 2 * 1e6);

		pthread_mutex_lock(&d->lock);
		d->head++;
		pthread_cond_signal(&d->moved);
		pthread_mutex_unlock(&d->lock);
	}
	return NULL;
}

static void *deliver(void *arg)
{
	struct direction *d = arg;

	for (;;) {
		pthread_mutex_lock(&d->lock);
		while (d->head == d->tail)
			pthread_cond_wait(&d->moved, &d->lock);
		struct packet *p = &d->ring[d->tail % SLOTS];
		pthread_mutex_unlock(&d->lock);

		struct timespec due = {(time_t)(p->due / 1000000000u),
				       (long)(p->due % 1000000000u)};
		while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &due, NULL) != 0)
			;
		if (!atomic_load(&cut) && write(d->out, p->bytes, p->len) < 0) {
			/* the far end is down: a lost packet, as on any wire */
		}

		pthread_mutex_lock(&d->lock);
		d->tail++;
		pthread_cond_signal(&d->moved);
		pthread_mutex_unlock(&d->lock);
	}
	return NULL;
}

static void start(int in, int out, unsigned seed)
{
	struct direction *d = calloc(1, sizeof *d);
	pthread_t thread;

	if (!d || !(d->ring = calloc(SLOTS, sizeof *d->ring)))
		die("calloc");
	d->in = in;
	d->out = out;
	d->seed = seed;
	pthread_mutex_init(&d->lock, NULL);
	pthread_cond_init(&d->moved, NULL);
	if (pthread_create(&thread, NULL, receive, d) || pthread_create(&thread, NULL, deliver, d))
		die("pthread_create");
}

static bool parse_setting(const char *text)
{
	return sscanf(text, "rtt=%lf", &settings.rtt_ms) == 1 ||
	       sscanf(text, "rate=%lf", &settings.rate_mbit) == 1 ||
	       sscanf(text, "loss=%lf", &settings.loss_percent) == 1 ||
	       sscanf(text, "queue=%lf", &settings.queue_ms) == 1 ||
	       sscanf(text, "name=%11[a-z0-9]", settings.name) == 1;
}

int main(int argc, char **argv)
{
	sigset_t asked;
	int number = 0;

	if (argc < 5) {
		fputs("usage: wanlink NS_A ADDR_A/LEN NS_B ADDR_B/LEN [rtt=MS] [rate=MBIT] "
		      "[loss=PERCENT] [queue=MS] [name=WAN]\n",
		      stderr);
		return 2;
	}
	for (int i = 5; i < argc; i++)
		if (!parse_setting(argv[i])) {
			fprintf(stderr, "wanlink: unknown setting '%s'\n", argv[i]);
			return 2;
		}
	sigemptyset(&asked);
	sigaddset(&asked, SIGTERM);
	sigaddset(&asked, SIGINT);
	sigaddset(&asked, SIGUSR1);
	sigaddset(&asked, SIGUSR2);
	pthread_sigmask(SIG_BLOCK, &asked, NULL);

	int a = open_tun(argv[1], "a", argv[2]);
	int b = open_tun(argv[3], "b", argv[4]);
	start(a, b, 42);
	start(b, a, 43);
	puts("up");
	fflush(stdout);

	while (number != SIGTERM && number != SIGINT) {
		sigwait(&asked, &number);
		if (number == SIGUSR1 || number == SIGUSR2)
			atomic_store(&cut, number == SIGUSR1);
	}
	return 0;
}
