/* SPDX-License-Identifier: BSD-3-Clause */
#include "lookout.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>

#include "cleanup.h"

/* What is to be looked at. */
struct view {
	unsigned int nr;
	int timeout_ms;
	struct pollfd fds[1 + LOOKOUT_MAX_FDS]; /* first of all, orders */
};

struct lookout {
	void (*seen)(void *opaque);
	void *opaque;
	pthread_t thread;
	bool runs;
	int orders; /* an eventfd: there is a new view, or it is the end */
	pthread_mutex_t lock;
	bool ends;
	struct view next;
};

/* Nothing but orders. */
static void close_eyes(struct view *view)
{
	view->nr = 1;
	view->timeout_ms = -1;
}

/* False: it is the end. */
static bool take_orders(struct lookout *lookout, struct view *view)
{
	eventfd_t sum;
	bool ends;

	eventfd_read(lookout->orders, &sum);
	pthread_mutex_lock(&lookout->lock);
	*view = lookout->next;
	ends = lookout->ends;
	pthread_mutex_unlock(&lookout->lock);
	return !ends;
}

static void *look(void *opaque)
{
	struct lookout *lookout = opaque;
	struct view view = { .fds[0] = { .fd = lookout->orders, .events = POLLIN } };

	close_eyes(&view);
	for (;;) {
		int nr = poll(view.fds, view.nr, view.timeout_ms);

		if (nr < 0 && errno == EINTR)
			continue;
		if (view.fds[0].revents) {
			if (!take_orders(lookout, &view))
				return NULL;
			continue;
		}
		close_eyes(&view);
		lookout->seen(lookout->opaque);
	}
}

/* Signals are for others. */
static int start(struct lookout *lookout)
{
	sigset_t all, before;
	int ret;

	sigfillset(&all);
	sigdelset(&all, SIGSYS); /* of a sandbox: who blocks it is killed by it */
	pthread_sigmask(SIG_BLOCK, &all, &before);
	ret = pthread_create(&lookout->thread, NULL, look, lookout);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	lookout->runs = !ret;
	return -ret;
}

int lookout_open(void (*seen)(void *opaque), void *opaque, struct lookout **out)
{
	struct lookout *lookout = calloc(1, sizeof(*lookout));
	int ret;

	if (!lookout)
		return -ENOMEM;
	lookout->seen = seen;
	lookout->opaque = opaque;
	pthread_mutex_init(&lookout->lock, NULL);
	lookout->orders = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	ret = lookout->orders < 0 ? -errno : start(lookout);
	if (ret) {
		lookout_close(lookout);
		return ret;
	}
	*out = lookout;
	return 0;
}

void lookout_watch(struct lookout *lookout, const struct pollfd *fds, unsigned int nr,
		   int timeout_ms)
{
	struct view *next = &lookout->next;

	pthread_mutex_lock(&lookout->lock);
	next->fds[0] = (struct pollfd){ .fd = lookout->orders, .events = POLLIN };
	memcpy(next->fds + 1, fds, nr * sizeof(*fds));
	next->nr = 1 + nr;
	next->timeout_ms = timeout_ms;
	pthread_mutex_unlock(&lookout->lock);
	eventfd_write(lookout->orders, 1);
}

void lookout_close(struct lookout *lookout)
{
	if (!lookout)
		return;
	if (lookout->runs) {
		pthread_mutex_lock(&lookout->lock);
		lookout->ends = true;
		pthread_mutex_unlock(&lookout->lock);
		eventfd_write(lookout->orders, 1);
		pthread_join(lookout->thread, NULL);
	}
	cleanup_close(&lookout->orders);
	pthread_mutex_destroy(&lookout->lock);
	free(lookout);
}
