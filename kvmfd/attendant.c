/* SPDX-License-Identifier: BSD-3-Clause */
#include "attendant.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "log.h"
#include "lookout.h"
#include "revival.h"
#include "vmm_control.h"

struct attendant {
	struct crew *crew;
	struct lookout *lookout;
	struct vmm_control *control; /* NULL: none */
	bool has_ended_it;
	unsigned int nr;
	struct revival revivals[];
};

/* ---- when to look again ---- */

static int sooner(int one, int other)
{
	if (one < 0 || other < 0)
		return one < 0 ? other : one;
	return one < other ? one : other;
}

static void watch(struct attendant *attendant)
{
	struct pollfd fds[LOOKOUT_MAX_FDS];
	unsigned int nr = 0;
	int timeout_ms = -1;

	for (unsigned int i = 0; i < attendant->nr; i++) {
		const struct revival *revival = &attendant->revivals[i];

		fds[nr++] =
			(struct pollfd){ .fd = vfio_pci_socket(revival->dev), .events = POLLRDHUP };
		timeout_ms = sooner(timeout_ms, revival_timeout_ms(revival));
	}
	if (attendant->control) {
		nr += vmm_control_fds(attendant->control, fds + nr);
		timeout_ms = sooner(timeout_ms, vmm_control_timeout_ms(attendant->control));
	}
	lookout_watch(attendant->lookout, fds, nr, timeout_ms);
}

/* On the lookout's thread. */
static void seen(void *opaque)
{
	const struct attendant *attendant = opaque;

	crew_ask(attendant->crew);
}

/* On the thread that answers accesses. */
static void attend(void *opaque)
{
	struct attendant *attendant = opaque;

	for (unsigned int i = 0; i < attendant->nr; i++)
		if (!revival_attend(&attendant->revivals[i])) {
			attendant->has_ended_it = true;
			crew_end(attendant->crew);
			return;
		}
	if (attendant->control)
		vmm_control_attend(attendant->control);
	watch(attendant);
}

/* ---- life ---- */

int attendant_open(struct crew *crew, struct vfio_pci *const *devices, unsigned int nr,
		   const char *control, struct attendant **out)
{
	struct attendant *attendant;
	int ret = 0;

	if (nr > LOOKOUT_MAX_FDS - VMM_CONTROL_MAX_FDS)
		return -E2BIG;
	attendant = calloc(1, sizeof(*attendant) + nr * sizeof(*attendant->revivals));
	if (!attendant)
		return -ENOMEM;
	attendant->crew = crew;
	attendant->nr = nr;
	for (unsigned int i = 0; i < nr; i++)
		attendant->revivals[i].dev = devices[i];
	if (control)
		ret = vmm_control_open(control, devices, nr, &attendant->control);
	if (ret) {
		attendant_close(attendant);
		return ret;
	}
	crew_attend(crew, attend, attendant);
	*out = attendant;
	return 0;
}

int attendant_start(struct attendant *attendant)
{
	int ret = lookout_open(seen, attendant, &attendant->lookout);

	if (ret)
		log_error("a thread that looks after the devices: %s", strerror(-ret));
	else
		watch(attendant);
	return ret;
}

bool attendant_has_ended_it(const struct attendant *attendant)
{
	return attendant->has_ended_it;
}

void attendant_close(struct attendant *attendant)
{
	if (!attendant)
		return;
	lookout_close(attendant->lookout);
	vmm_control_close(attendant->control);
	free(attendant);
}
