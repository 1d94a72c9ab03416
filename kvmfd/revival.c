/* SPDX-License-Identifier: BSD-3-Clause */
#include "revival.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "log.h"

#define NS_PER_MS 1000000ll
#define FIRST_PAUSE_NS (10 * NS_PER_MS)
#define LAST_PAUSE_NS (1000 * NS_PER_MS)

/* The guest stands while a server is asked: one that is slow to answer is asked more rarely. */
#define SHARE_OF_TIME 4

static int64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000 * NS_PER_MS + now.tv_nsec;
}

/* False: that is the end. */
static bool notice(struct revival *revival)
{
	struct vfio_pci *dev = revival->dev;
	bool ends = vfio_pci_options(dev)->reconnect == VFIO_PCI_END;

	if (ends)
		log_error("%s: the server is gone, and the guest ends: reconnect=off",
			  vfio_pci_name(dev));
	else
		log_warn("%s: the server is gone: reads give all ones until it is back",
			 vfio_pci_name(dev));
	vfio_pci_leave(dev);
	revival->away = true;
	revival->pause_ns = FIRST_PAUSE_NS;
	revival->next_ns = now_ns();
	*revival->said = '\0';
	return !ends;
}

static void try_later(struct revival *revival, int64_t took_ns)
{
	int64_t pause = revival->pause_ns;

	if (pause < SHARE_OF_TIME * took_ns)
		pause = SHARE_OF_TIME * took_ns;
	revival->next_ns = now_ns() + pause;
	revival->pause_ns =
		2 * revival->pause_ns < LAST_PAUSE_NS ? 2 * revival->pause_ns : LAST_PAUSE_NS;
}

/* Once, and not at each attempt. */
static void refuse(struct revival *revival, const char *why)
{
	if (strcmp(revival->said, why))
		log_error("%s: the server is not taken back: %s", vfio_pci_name(revival->dev), why);
	snprintf(revival->said, sizeof(revival->said), "%s", why);
}

static int try(struct revival *revival)
{
	struct vfio_pci *dev = revival->dev;
	char why[VFIO_PCI_WHY];
	struct fpc *client;
	int ret = vfio_pci_connect(dev, vfio_pci_name(dev), &client);

	if (ret)
		return ret;
	ret = vfio_pci_match(dev, client, why);
	if (!ret)
		return vfio_pci_rejoin(dev, client);
	fpc_close(client);
	refuse(revival, why);
	return ret;
}

static void come_back(struct revival *revival)
{
	int64_t began = now_ns();

	if (try(revival)) {
		try_later(revival, now_ns() - began);
		return;
	}
	revival->away = false;
	log_warn("%s: the server is back, and the device is reset", vfio_pci_name(revival->dev));
}

bool revival_attend(struct revival *revival)
{
	if (!revival->away && vfio_pci_is_lost(revival->dev) && !notice(revival))
		return false;
	if (revival->away && now_ns() >= revival->next_ns)
		come_back(revival);
	return true;
}

int revival_timeout_ms(const struct revival *revival)
{
	int64_t left = revival->next_ns - now_ns();

	if (!revival->away)
		return -1;
	return left < 0 ? 0 : (int)(left / NS_PER_MS) + 1;
}
