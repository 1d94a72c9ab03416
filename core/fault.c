/* SPDX-License-Identifier: BSD-3-Clause */
#include "fault.h"

#include <errno.h>
#include <linux/magic.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <ucontext.h>
#include <unistd.h>

struct fault_map {
	struct fault_map *next; /* in the list of all that the handler looks for */
	struct fault_map **link;
	uint8_t *base; /* whole pages */
	size_t len;
	size_t skip; /* from there to the first byte that was asked for */
	int prot;
	bool failed;
	bool *told;
	unsigned int holders;
	bool is_unmapped; /* once they are gone */
};

static struct fault_map *maps;
static bool maps_locked;
static struct sigaction previous;

/* ---- the list, which a signal handler has to be able to walk ---- */

/*
 * The handler waits for this lock. That ends, because who holds it touches no memory of a peer and
 * has all signals blocked: no thread waits for itself.
 */
static void lock(void)
{
	while (__atomic_exchange_n(&maps_locked, true, __ATOMIC_ACQUIRE))
		sched_yield();
}

static void unlock(void)
{
	__atomic_store_n(&maps_locked, false, __ATOMIC_RELEASE);
}

static void lock_blocked(sigset_t *mask)
{
	sigset_t all;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, mask);
	lock();
}

static void unlock_blocked(const sigset_t *mask)
{
	unlock();
	pthread_sigmask(SIG_SETMASK, mask, NULL);
}

static void add(struct fault_map *map)
{
	sigset_t mask;

	lock_blocked(&mask);
	map->next = maps;
	map->link = &maps;
	if (maps)
		maps->link = &map->next;
	maps = map;
	unlock_blocked(&mask);
}

static void forget(struct fault_map *map)
{
	sigset_t mask;

	lock_blocked(&mask);
	*map->link = map->next;
	if (map->next)
		map->next->link = map->link;
	unlock_blocked(&mask);
}

/* ---- the handler: only what may be called in one ---- */

/*
 * Without MAP_NORESERVE it could be more than the host lets one process have. A bare system call:
 * mmap() is no function for handlers, and what intercepts it takes it for a store to all of this.
 */
static bool fail(struct fault_map *map)
{
	const long flags = MAP_FIXED | MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE;

	if (map->failed) /* by another thread, just now */
		return true;
	if (syscall(SYS_mmap, map->base, map->len, (long)map->prot, flags, -1L, 0L) < 0)
		return false;
	__atomic_store_n(&map->failed, true, __ATOMIC_RELEASE);
	if (map->told)
		__atomic_store_n(map->told, true, __ATOMIC_RELEASE);
	return true;
}

static bool contain(const void *address)
{
	struct fault_map *map;
	bool contained;

	lock();
	for (map = maps; map; map = map->next)
		if ((uintptr_t)address - (uintptr_t)map->base < map->len)
			break;
	contained = map && fail(map);
	unlock();
	return contained;
}

static bool by_an_access(const siginfo_t *info)
{
	return info->si_code > 0 && info->si_code != BUS_MCEERR_AO;
}

static void call_previous(int sig, siginfo_t *info, ucontext_t *context)
{
	sigset_t mask;

	sigorset(&mask, &context->uc_sigmask, &previous.sa_mask);
	if (!(previous.sa_flags & SA_NODEFER))
		sigaddset(&mask, sig);
	pthread_sigmask(SIG_SETMASK, &mask, NULL);
	if (previous.sa_flags & SA_SIGINFO)
		previous.sa_sigaction(sig, info, context);
	else
		previous.sa_handler(sig);
}

static void pass_on(int sig, siginfo_t *info, ucontext_t *context)
{
	if (previous.sa_handler != SIG_DFL && previous.sa_handler != SIG_IGN) {
		call_previous(sig, info, context);
	} else if (previous.sa_handler == SIG_DFL || by_an_access(info)) {
		/* The same signal again, with all that a core dump tells of it. */
		sigaction(sig, &previous, NULL);
		syscall(SYS_rt_tgsigqueueinfo, getpid(), gettid(), sig, info);
	}
}

static void on_bus_error(int sig, siginfo_t *info, void *context)
{
	int saved = errno;

	/* Not the other codes: memory that has broken is no peer's doing. */
	if (info->si_code != BUS_ADRERR || !contain(info->si_addr))
		pass_on(sig, info, context);
	errno = saved;
}

static void install(void)
{
	/* SA_ONSTACK: a program may run its threads on stacks that leave no room for a handler. */
	struct sigaction action = {
		.sa_sigaction = on_bus_error,
		.sa_flags = SA_SIGINFO | SA_ONSTACK | SA_RESTART,
	};

	sigfillset(&action.sa_mask);
	/* First, for the handler needs it. */
	sigaction(SIGBUS, NULL, &previous);
	sigaction(SIGBUS, &action, NULL);
}

/* ---- mappings ---- */

/* What a mapping of this file begins at and is made of. */
static size_t page_bytes(int fd)
{
	struct statfs fs;

	if (!fstatfs(fd, &fs) && (unsigned long)fs.f_type == HUGETLBFS_MAGIC)
		return (size_t)fs.f_bsize;
	return (size_t)sysconf(_SC_PAGESIZE);
}

int fault_map(int fd, uint64_t offset, uint64_t size, int prot, bool *failed,
	      struct fault_map **out)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	size_t page = page_bytes(fd);
	struct fault_map *map = calloc(1, sizeof(*map));
	int ret;

	if (!map)
		return -ENOMEM;
	map->skip = offset % page;
	map->len = (map->skip + size + page - 1) / page * page;
	map->prot = prot;
	map->told = failed;
	map->base = mmap(NULL, map->len, prot, MAP_SHARED, fd, (off_t)(offset - map->skip));
	if (map->base == MAP_FAILED) {
		ret = -errno;
		free(map);
		return ret;
	}
	pthread_once(&once, install);
	add(map);
	*out = map;
	return 0;
}

void fault_unmap(struct fault_map *map)
{
	if (!map)
		return;
	map->is_unmapped = true;
	if (map->holders)
		return;
	/* First: another mapping may get the place. */
	forget(map);
	munmap(map->base, map->len);
	free(map);
}

void fault_hold(struct fault_map *map)
{
	map->holders++;
}

void fault_release(struct fault_map *map)
{
	if (!--map->holders && map->is_unmapped)
		fault_unmap(map);
}

void *fault_map_bytes(const struct fault_map *map)
{
	return map->base + map->skip;
}

bool fault_map_failed(const struct fault_map *map)
{
	/* The accesses that the caller has made already are over by here. */
	__atomic_signal_fence(__ATOMIC_SEQ_CST);
	return __atomic_load_n(&map->failed, __ATOMIC_ACQUIRE);
}
