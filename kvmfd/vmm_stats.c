/* SPDX-License-Identifier: BSD-3-Clause */
#include "vmm_stats.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cleanup.h"
#include "log.h"
#include "vmm_stats_print.h"

struct vmm_stats {
	struct vmm_stats_of of;
	pthread_t listener;
	bool listens;
	bool stopped;
};

/* In one piece: others write to the standard error, too. */
static int print(void *opaque)
{
	const struct vmm_stats *stats = opaque;
	CLEANUP_FREE char *text = NULL;
	size_t len = 0, done = 0;
	FILE *to = open_memstream(&text, &len);

	if (!to)
		return -ENOMEM;
	vmm_stats_print_to(to, &stats->of);
	fclose(to);
	while (done < len) {
		ssize_t n = write(STDERR_FILENO, text + done, len - done);

		if (n < 0 && errno != EINTR)
			return -errno;
		done += n < 0 ? 0 : (size_t)n;
	}
	return 0;
}

static void only(sigset_t *set, int sig)
{
	sigemptyset(set);
	sigaddset(set, sig);
}

static void *listen(void *opaque)
{
	struct vmm_stats *stats = opaque;
	sigset_t asked;
	int sig;

	only(&asked, SIGUSR1);
	while (!sigwait(&asked, &sig) && !__atomic_load_n(&stats->stopped, __ATOMIC_ACQUIRE))
		crew_call(stats->of.crew, print, stats);
	return NULL;
}

/* It takes SIGUSR1, which all others block, and no other signal. */
static int start_listener(struct vmm_stats *stats)
{
	sigset_t all, before, asked;
	int ret;

	only(&asked, SIGUSR1);
	pthread_sigmask(SIG_BLOCK, &asked, NULL);
	sigfillset(&all);
	sigdelset(&all, SIGSYS); /* of the sandbox: what blocks it is killed by it */
	pthread_sigmask(SIG_BLOCK, &all, &before);
	ret = pthread_create(&stats->listener, NULL, listen, stats);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	stats->listens = !ret;
	return -ret;
}

static int measure(struct machine *machine)
{
	int ret = 0;

	for (unsigned int i = 0; i < machine->nr_vcpus && !ret; i++)
		ret = vcpu_measure(machine->vcpus[i]);
	bus_measure(machine->bus);
	return ret;
}

int vmm_stats_open(const struct vmm_stats_of *of, struct vmm_stats **out)
{
	struct vmm_stats *stats = calloc(1, sizeof(*stats));
	int ret = -ENOMEM;

	if (stats) {
		stats->of = *of;
		ret = measure(of->machine);
	}
	if (!ret)
		ret = start_listener(stats);
	if (ret) {
		log_error("--stats: %s", strerror(-ret));
		free(stats);
		return ret;
	}
	*out = stats;
	return 0;
}

void vmm_stats_print(struct vmm_stats *stats)
{
	print(stats);
}

void vmm_stats_close(struct vmm_stats *stats)
{
	if (!stats)
		return;
	__atomic_store_n(&stats->stopped, true, __ATOMIC_RELEASE);
	if (stats->listens) {
		pthread_kill(stats->listener, SIGUSR1);
		pthread_join(stats->listener, NULL);
	}
	free(stats);
}
