/* SPDX-License-Identifier: BSD-3-Clause */
#include "soak.h"

#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "log.h"

#define MAX_ACTORS 16u

/* ---- chance: xorshift64* ---- */

uint64_t chance_next(struct chance *chance)
{
	uint64_t x = chance->state;

	x ^= x >> 12;
	x ^= x << 25;
	x ^= x >> 27;
	chance->state = x;
	return x * 0x2545f4914f6cdd1dull;
}

uint32_t chance_below(struct chance *chance, uint32_t n)
{
	return (uint32_t)((chance_next(chance) >> 32) * n >> 32);
}

void chance_bytes(struct chance *chance, void *to, size_t len)
{
	for (size_t i = 0; i < len; i++)
		((uint8_t *)to)[i] = (uint8_t)chance_next(chance);
}

/* ---- steps ---- */

#define NR_STEPS 16u

static struct {
	char text[NR_STEPS][120];
	uint64_t nr;
} steps;

void soak_step(const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	vsnprintf(steps.text[steps.nr++ % NR_STEPS], sizeof(*steps.text), fmt, args);
	va_end(args);
}

void soak_fail(const char *fmt, ...)
{
	va_list args;

	fflush(stdout);
	fprintf(stderr, "soak: ");
	va_start(args, fmt);
	vfprintf(stderr, fmt, args);
	va_end(args);
	fprintf(stderr, "\n  after step %llu; the last ones:\n", (unsigned long long)steps.nr);
	for (uint64_t i = steps.nr > NR_STEPS ? steps.nr - NR_STEPS : 0; i < steps.nr; i++)
		fprintf(stderr, "  %s\n", steps.text[i % NR_STEPS]);
	exit(1);
}

/* ---- the program ---- */

struct options {
	double seconds;
	uint64_t steps; /* of each actor, instead; 0: not given */
	uint64_t seed;
	unsigned int actors;
};

/* What the actors have done, for those who watch. */
struct progress {
	uint64_t steps[MAX_ACTORS];
};

static double now(void)
{
	struct timespec at;

	clock_gettime(CLOCK_MONOTONIC, &at);
	return (double)at.tv_sec + (double)at.tv_nsec / 1e9;
}

static int run(const struct options *options, unsigned int number, const char *top,
	       uint64_t *progress)
{
	double end = now() + options->seconds;
	struct actor *actor;
	char dir[100];

	snprintf(dir, sizeof(dir), "%s/%u", top, number);
	if (mkdir(dir, 0700))
		soak_fail("%s: %s", dir, strerror(errno));
	actor = actor_start(options->seed * 31 + number + 1, dir);
	while (options->steps ? *progress < options->steps : now() < end) {
		actor_act(actor);
		++*progress;
	}
	actor_end(actor);
	return 0;
}

static void tell(const struct options *options, const struct progress *progress, double since)
{
	uint64_t sum = 0;

	for (unsigned int i = 0; i < options->actors; i++)
		sum += progress->steps[i];
	printf("%8.0f s, %llu steps\n", now() - since, (unsigned long long)sum);
	fflush(stdout);
}

/* Until all have ended, or one badly: then the others are ended too. */
static int watch(const struct options *options, const pid_t *pids, const struct progress *progress)
{
	double since = now(), next = since + 60;
	unsigned int left = options->actors;
	int status, bad = 0;

	while (left) {
		pid_t pid = waitpid(-1, &status, WNOHANG);

		if (pid <= 0) {
			usleep(100000);
			if (now() < next)
				continue;
			tell(options, progress, since);
			next += 60;
			continue;
		}
		left--;
		if (!status || bad)
			continue;
		bad = 1;
		for (unsigned int i = 0; i < options->actors; i++) {
			if (pids[i] == pid)
				fprintf(stderr, "soak: it was actor %u\n", i);
			else
				kill(pids[i], SIGKILL);
		}
	}
	tell(options, progress, since);
	return bad;
}

static uint64_t number(const char *option, const char *text)
{
	char *end;
	uint64_t value = strtoull(text, &end, 0);

	if (end != text && !*end && *text != '-')
		return value;
	fprintf(stderr, "soak: %s %s: wants a number\n", option, text);
	exit(1);
}

static void parse(struct options *options, int argc, char **argv)
{
	for (int i = 1; i < argc; i += 2) {
		const char *value = argv[i + 1];

		if (!value || strncmp(argv[i], "--", 2) != 0) {
			fprintf(stderr,
				"Usage: soak [--seconds N] [--steps N] [--seed N] [--actors N]\n");
			exit(1);
		}
		if (!strcmp(argv[i], "--seconds"))
			options->seconds = (double)number(argv[i], value);
		else if (!strcmp(argv[i], "--steps"))
			options->steps = number(argv[i], value);
		else if (!strcmp(argv[i], "--seed"))
			options->seed = number(argv[i], value);
		else if (!strcmp(argv[i], "--actors"))
			options->actors = (unsigned int)number(argv[i], value);
		else
			soak_fail("%s: no such option", argv[i]);
	}
	if (!options->actors || options->actors > MAX_ACTORS)
		soak_fail("--actors: wants 1 to %u", MAX_ACTORS);
}

int main(int argc, char **argv)
{
	struct options options = { .seconds = 60, .seed = (uint64_t)time(NULL), .actors = 2 };
	struct progress *progress = mmap(NULL, sizeof(*progress), PROT_READ | PROT_WRITE,
					 MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	char top[] = "/tmp/fastpath-soak.XXXXXX", command[64];
	pid_t pids[MAX_ACTORS];
	int bad;

	log_set_level(LOG_ERROR); /* that servers go is nothing to tell of */
	parse(&options, argc, argv);
	if (progress == MAP_FAILED || !mkdtemp(top))
		soak_fail("no memory, or no place in /tmp");
	printf("soak: --seed %llu --actors %u, in %s\n", (unsigned long long)options.seed,
	       options.actors, top);
	fflush(stdout);
	for (unsigned int i = 0; i < options.actors; i++) {
		pids[i] = fork();
		if (!pids[i])
			exit(run(&options, i, top, &progress->steps[i]));
	}
	bad = watch(&options, pids, progress);
	if (bad) {
		printf("soak: FAILED; again by --seed %llu --actors %u; logs are in %s\n",
		       (unsigned long long)options.seed, options.actors, top);
		return 1;
	}
	snprintf(command, sizeof(command), "rm -rf %s", top);
	return system(command) ? 1 : 0;
}
