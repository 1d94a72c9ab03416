/* SPDX-License-Identifier: BSD-3-Clause */
#include "crew.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "log.h"
#include "relay.h"

/* Makes a thread leave KVM_RUN, or another system call; nothing else. */
#define NUDGE SIGRTMIN

struct member {
	struct crew *crew;
	struct vcpu *vcpu;
	pthread_t thread;
	pid_t tid; /* 0: not at work yet. Not `thread`, which is nobody once it was joined */
};

/* Something to be done between two accesses, by a thread that is in KVM_RUN otherwise. */
struct call {
	pthread_mutex_t lock;
	pthread_cond_t settled;
	int (*fn)(void *opaque); /* NULL: nothing to be done */
	void *opaque;
	int ret;
	bool closed; /* nobody will look any more */
};

struct crew {
	struct machine *machine;
	struct relay *relay; /* NULL: one vCPU, on the caller's thread */
	struct call call;    /* for that one */
	bool ended;
	unsigned int at_work; /* those that have not left */
	bool has_result;
	int result;
	bool asked; /* without a relay, which has one of its own */
	void (*attend)(void *opaque);
	void *opaque;
	unsigned int nr;
	struct member members[MACHINE_MAX_VCPUS];
};

static void ignore(int sig)
{
	(void)sig;
}

int crew_open(struct machine *machine, struct crew **out)
{
	const struct sigaction action = { .sa_handler = ignore };
	struct crew *crew = calloc(1, sizeof(*crew));
	int ret = 0;

	if (!crew)
		return -ENOMEM;
	crew->machine = machine;
	crew->call.lock = (pthread_mutex_t)PTHREAD_MUTEX_INITIALIZER;
	crew->call.settled = (pthread_cond_t)PTHREAD_COND_INITIALIZER;
	crew->nr = crew->at_work = machine->nr_vcpus;
	for (unsigned int i = 0; i < crew->nr; i++)
		crew->members[i] = (struct member){ .crew = crew, .vcpu = machine->vcpus[i] };
	if (crew->nr > 1)
		ret = relay_open(&crew->relay);
	if (ret) {
		crew_close(crew);
		return ret;
	}
	sigaction(NUDGE, &action, NULL);
	*out = crew;
	return 0;
}

void crew_close(struct crew *crew)
{
	if (!crew)
		return;
	relay_close(crew->relay);
	free(crew);
}

/* It looks at its kick when it goes to work, and is nudged when it was there before. */
static void kick(const struct member *member)
{
	pid_t tid;

	vcpu_kick(member->vcpu);
	tid = __atomic_load_n(&member->tid, __ATOMIC_SEQ_CST);
	if (tid)
		syscall(SYS_tgkill, getpid(), tid, NUDGE);
}

void crew_end(struct crew *crew)
{
	__atomic_store_n(&crew->ended, true, __ATOMIC_SEQ_CST);
	for (unsigned int i = 0; i < crew->nr; i++)
		kick(&crew->members[i]);
}

void crew_attend(struct crew *crew, void (*fn)(void *opaque), void *opaque)
{
	crew->attend = fn;
	crew->opaque = opaque;
	if (crew->relay)
		relay_attend(crew->relay, fn, opaque);
}

void crew_ask(struct crew *crew)
{
	if (crew->relay) {
		relay_ask(crew->relay);
		return;
	}
	__atomic_store_n(&crew->asked, true, __ATOMIC_SEQ_CST);
	kick(&crew->members[0]);
}

int crew_call(struct crew *crew, int (*fn)(void *opaque), void *opaque)
{
	struct call *call = &crew->call;
	int ret = -ESHUTDOWN;

	if (crew->relay)
		return relay_call(crew->relay, fn, opaque);
	pthread_mutex_lock(&call->lock);
	if (!call->closed) {
		call->fn = fn;
		call->opaque = opaque;
		kick(&crew->members[0]);
		while (call->fn)
			pthread_cond_wait(&call->settled, &call->lock);
		ret = call->ret;
	}
	pthread_mutex_unlock(&call->lock);
	return ret;
}

/* On the vCPU's thread: what was asked for, if anything was; for the last time when it is the end. */
static void answer_call(struct call *call, bool is_end)
{
	pthread_mutex_lock(&call->lock);
	if (call->fn)
		call->ret = call->fn(call->opaque);
	call->fn = NULL;
	call->closed = is_end;
	pthread_cond_signal(&call->settled);
	pthread_mutex_unlock(&call->lock);
}

/* The first result is the crew's. A kick that is not an end is none. */
static void work(struct member *member)
{
	struct crew *crew = member->crew;
	bool ended;
	int ret;

	__atomic_store_n(&member->tid, gettid(), __ATOMIC_SEQ_CST);
	do {
		ret = vcpu_run(member->vcpu, crew->machine->bus);
		if (__atomic_exchange_n(&crew->asked, false, __ATOMIC_SEQ_CST))
			crew->attend(crew->opaque);
		ended = ret != -EINTR || __atomic_load_n(&crew->ended, __ATOMIC_SEQ_CST);
		if (!crew->relay)
			answer_call(&crew->call, ended);
	} while (!ended);
	if (ret == BUS_LEAVE) {
		if (__atomic_sub_fetch(&crew->at_work, 1, __ATOMIC_SEQ_CST))
			return;
		ret = 0;
	}
	if (!__atomic_exchange_n(&crew->has_result, true, __ATOMIC_SEQ_CST))
		crew->result = ret;
	crew_end(crew);
}

static void *run_member(void *opaque)
{
	struct member *member = opaque;

	work(member);
	relay_end(member->crew->relay);
	return NULL;
}

/* Signals are for the main thread, but for the nudge. Returns how many were started. */
static unsigned int start_members(struct crew *crew)
{
	sigset_t all, before;
	unsigned int nr = 0;
	int ret = 0;

	sigfillset(&all);
	sigdelset(&all, NUDGE);
	sigdelset(&all, SIGSYS); /* of the sandbox: what blocks it is killed by it */
	pthread_sigmask(SIG_BLOCK, &all, &before);
	while (nr < crew->nr && !ret) {
		struct member *member = &crew->members[nr];

		ret = pthread_create(&member->thread, NULL, run_member, member);
		nr += !ret;
	}
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (ret)
		log_error("a thread for vCPU %u: %s", nr, strerror(ret));
	return nr;
}

static int run_threads(struct crew *crew)
{
	unsigned int nr;

	bus_share(crew->machine->bus, crew->relay);
	nr = start_members(crew);
	if (nr < crew->nr)
		crew_end(crew);
	relay_serve(crew->relay, nr);
	for (unsigned int i = 0; i < nr; i++)
		pthread_join(crew->members[i].thread, NULL);
	bus_share(crew->machine->bus, NULL);
	return nr < crew->nr ? -EAGAIN : crew->result;
}

int crew_run(struct crew *crew)
{
	if (crew->relay)
		return run_threads(crew);
	work(&crew->members[0]);
	return crew->result;
}
