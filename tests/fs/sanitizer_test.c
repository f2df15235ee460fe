/* sanitizer_test - commits the crime that argv[1] names, so that scripts/check can prove that the
 * sanitizer of a build sees it: asan, ubsan or tsan.  Without an argument it passes.  In a build
 * whose sanitizer is off the crime goes unseen and the program exits 0. */
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int heap_overflow(void)
{
	size_t size = 16;
	volatile char *bytes = malloc(size);

	if (!bytes)
		return 0;
	/* An index the compiler cannot see through: with a constant it would warn at build time. */
	for (volatile size_t i = 0; i <= size; i++)
		bytes[i] = 1;
	free((void *)bytes);
	return 0;
}

static int signed_overflow(void)
{
	volatile int big = INT_MAX;

	big = big + 1;
	return 0;
}

static int shared;

static void *increment(void *arg)
{
	for (int i = 0; i < 100000; i++)
		shared++;
	return arg;
}

static int data_race(void)
{
	pthread_t thread;

	if (pthread_create(&thread, NULL, increment, NULL) != 0)
		return 0;
	increment(NULL);
	pthread_join(thread, NULL);
	return 0;
}

int main(int argc, char **argv)
{
	if (argc < 2)
		return 0;
	if (strcmp(argv[1], "asan") == 0)
		return heap_overflow();
	if (strcmp(argv[1], "ubsan") == 0)
		return signed_overflow();
	if (strcmp(argv[1], "tsan") == 0)
		return data_race();
	fprintf(stderr, "usage: %s [asan|ubsan|tsan]\n", argv[0]);
	return 2;
}
