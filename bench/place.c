/* SPDX-License-Identifier: BSD-3-Clause */
#include "place.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

void place_default(int *first, int *second)
{
	cpu_set_t cpus;
	int found = 0;

	if (sched_getaffinity(0, sizeof(cpus), &cpus))
		return;
	for (int cpu = 0; cpu < CPU_SETSIZE && found < 2; cpu++) {
		if (!CPU_ISSET(cpu, &cpus))
			continue;
		if (!found++)
			*first = cpu;
		*second = cpu;
	}
}

bool place_exists(int cpu)
{
	cpu_set_t cpus;

	return cpu >= 0 && cpu < CPU_SETSIZE && !sched_getaffinity(0, sizeof(cpus), &cpus) &&
	       CPU_ISSET(cpu, &cpus);
}

void place_self(int cpu)
{
	cpu_set_t cpus;

	if (cpu < 0)
		return;
	CPU_ZERO(&cpus);
	CPU_SET(cpu, &cpus);
	sched_setaffinity(0, sizeof(cpus), &cpus);
}

static int place_threads(pid_t pid, const cpu_set_t *cpus)
{
	char path[64];
	struct dirent *entry;
	int ret = 0;
	DIR *dir;

	snprintf(path, sizeof(path), "/proc/%d/task", pid);
	dir = opendir(path);
	if (!dir)
		return -errno;
	while ((entry = readdir(dir))) {
		if (entry->d_name[0] == '.')
			continue;
		/* A thread that has ended since is where it should be. */
		if (sched_setaffinity(atoi(entry->d_name), sizeof(*cpus), cpus) && errno != ESRCH)
			ret = -errno;
	}
	closedir(dir);
	return ret;
}

int place_process(pid_t pid, int cpu, cpu_set_t *before)
{
	cpu_set_t cpus;

	if (sched_getaffinity(pid, sizeof(*before), before))
		return -errno;
	CPU_ZERO(&cpus);
	CPU_SET(cpu, &cpus);
	return place_threads(pid, &cpus);
}

void place_back(pid_t pid, const cpu_set_t *before)
{
	place_threads(pid, before);
}
