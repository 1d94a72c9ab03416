/* SPDX-License-Identifier: BSD-3-Clause */
#include "bare_guest.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define MEMORY_BYTES (4u << 20)

const char *bare_guest_missing(void)
{
	static char why[80];
	int fd = open("/dev/kvm", O_RDWR | O_CLOEXEC);

	if (fd >= 0) {
		close(fd);
		return NULL;
	}
	snprintf(why, sizeof(why), "/dev/kvm: %s", strerror(errno));
	return why;
}

int bare_guest_open(struct bare_guest *guest, const void *code, size_t len)
{
	int ret;

	*guest = (struct bare_guest){ 0 };
	ret = machine_open(MEMORY_BYTES, &guest->machine);
	if (!ret)
		ret = payload_open(guest->machine, "of the test", code, len, &guest->payload);
	if (!ret)
		ret = recorder_add(&guest->mmio, guest->machine->bus, BUS_MMIO, BARE_MMIO,
				   BARE_MMIO_BYTES);
	if (!ret)
		ret = recorder_add(&guest->pio, guest->machine->bus, BUS_PIO, BARE_PORT,
				   BARE_PORT_BYTES);
	return ret;
}

void bare_guest_close(struct bare_guest *guest)
{
	payload_close(guest->payload);
	machine_close(guest->machine);
}

int bare_guest_run(struct bare_guest *guest)
{
	return vcpu_run(guest->machine->vcpu, guest->machine->bus);
}
