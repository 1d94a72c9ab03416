/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * serial: a 16550A serial port without a wire: what the guest sends is out at once, and what comes
 * in waits in its FIFO. (National Semiconductor, "PC16550D".)
 */
#ifndef KVMFD_SERIAL_H
#define KVMFD_SERIAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bus.h"

#define SERIAL_FIFO_BYTES 16u

struct serial;

/* The other end. Called with the port's lock held: neither may call the port. */
struct serial_end {
	void (*send)(void *opaque, uint8_t byte);
	void (*interrupt)(void *opaque, bool high); /* the level of its line, when it changes */
	void *opaque;
};

/* At I/O port `port` of the bus. *out is to be given to serial_close(). -ENOMEM, as bus_add(). */
int serial_open(struct bus *bus, uint16_t port, const struct serial_end *end, struct serial **out);

/* Nobody may be in serial_receive(). NULL is nothing. */
void serial_close(struct serial *serial);

/*
 * Bytes come in, from any thread: waits for room until all of them have, or until serial_hang_up().
 * Returns how many.
 */
size_t serial_receive(struct serial *serial, const uint8_t *bytes, size_t len);

/* Nothing comes in any more. */
void serial_hang_up(struct serial *serial);

#endif
