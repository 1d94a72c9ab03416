/* SPDX-License-Identifier: BSD-3-Clause */
#include "serial.h"

#include <errno.h>
#include <linux/serial_reg.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#define NR_REGISTERS 8u

/* Somebody is always there, and always ready. */
#define MODEM_READY (UART_MSR_DCD | UART_MSR_DSR | UART_MSR_CTS)

struct serial {
	struct bus *bus;
	uint16_t port;
	struct serial_end end;
	pthread_mutex_t lock; /* of all below */
	pthread_cond_t room;
	bool hung_up;
	bool line; /* the interrupt's level, as it was told last */
	bool sent; /* "the transmitter is empty" is still to be told */
	uint8_t ier, fcr, lcr, mcr, scr, dll, dlm;
	uint8_t fifo[SERIAL_FIFO_BYTES];
	size_t first, nr; /* bytes in it */
};

/* ---- interrupts ---- */

static uint8_t cause(const struct serial *serial)
{
	if (serial->ier & UART_IER_RDI && serial->nr)
		return UART_IIR_RDI;
	if (serial->ier & UART_IER_THRI && serial->sent)
		return UART_IIR_THRI;
	return UART_IIR_NO_INT;
}

static void update_line(struct serial *serial)
{
	bool line = cause(serial) != UART_IIR_NO_INT;

	if (line == serial->line)
		return;
	serial->line = line;
	serial->end.interrupt(serial->end.opaque, line);
}

/* ---- bytes ---- */

static void push(struct serial *serial, uint8_t byte)
{
	if (serial->nr == SERIAL_FIFO_BYTES)
		return;
	serial->fifo[(serial->first + serial->nr) % SERIAL_FIFO_BYTES] = byte;
	serial->nr++;
}

static uint8_t pop(struct serial *serial)
{
	uint8_t byte = serial->fifo[serial->first];

	if (!serial->nr)
		return 0;
	serial->first = (serial->first + 1) % SERIAL_FIFO_BYTES;
	serial->nr--;
	pthread_cond_signal(&serial->room);
	return byte;
}

static void transmit(struct serial *serial, uint8_t byte)
{
	if (serial->mcr & UART_MCR_LOOP)
		push(serial, byte);
	else
		serial->end.send(serial->end.opaque, byte);
	serial->sent = true;
}

/* ---- registers ---- */

static uint8_t identify(struct serial *serial)
{
	uint8_t iir = cause(serial);

	/* To read it is to have heard it. */
	if (iir == UART_IIR_THRI)
		serial->sent = false;
	return iir | (serial->fcr & UART_FCR_ENABLE_FIFO ? 0xc0 : 0);
}

/* In a loop the port is its own modem: autodetection relies on it. */
static uint8_t modem_status(const struct serial *serial)
{
	uint8_t mcr = serial->mcr;

	if (!(mcr & UART_MCR_LOOP))
		return MODEM_READY;
	return (uint8_t)((mcr & UART_MCR_DTR ? UART_MSR_DSR : 0) |
			 (mcr & UART_MCR_RTS ? UART_MSR_CTS : 0) |
			 (mcr & UART_MCR_OUT1 ? UART_MSR_RI : 0) |
			 (mcr & UART_MCR_OUT2 ? UART_MSR_DCD : 0));
}

static uint8_t get_register(struct serial *serial, uint64_t reg)
{
	bool divisor = serial->lcr & UART_LCR_DLAB;

	switch (reg) {
	case UART_RX:
		return divisor ? serial->dll : pop(serial);
	case UART_IER:
		return divisor ? serial->dlm : serial->ier;
	case UART_IIR:
		return identify(serial);
	case UART_LCR:
		return serial->lcr;
	case UART_MCR:
		return serial->mcr;
	case UART_LSR:
		return (uint8_t)(UART_LSR_THRE | UART_LSR_TEMT | (serial->nr ? UART_LSR_DR : 0));
	case UART_MSR:
		return modem_status(serial);
	default:
		return serial->scr;
	}
}

static void set_fifo(struct serial *serial, uint8_t value)
{
	if (value & UART_FCR_CLEAR_RCVR || (value ^ serial->fcr) & UART_FCR_ENABLE_FIFO) {
		serial->nr = 0;
		pthread_cond_signal(&serial->room);
	}
	serial->fcr = value & UART_FCR_ENABLE_FIFO;
}

static void set_interrupts(struct serial *serial, uint8_t value)
{
	/* The transmitter is empty, which is news to who has just asked. */
	if (value & UART_IER_THRI && !(serial->ier & UART_IER_THRI))
		serial->sent = true;
	serial->ier = value & 0x0f;
}

static void set_register(struct serial *serial, uint64_t reg, uint8_t value)
{
	bool divisor = serial->lcr & UART_LCR_DLAB;

	switch (reg) {
	case UART_TX:
		if (divisor)
			serial->dll = value;
		else
			transmit(serial, value);
		break;
	case UART_IER:
		if (divisor)
			serial->dlm = value;
		else
			set_interrupts(serial, value);
		break;
	case UART_FCR:
		set_fifo(serial, value);
		break;
	case UART_LCR:
		serial->lcr = value;
		break;
	case UART_MCR:
		serial->mcr = value & 0x1f;
		break;
	case UART_SCR:
		serial->scr = value;
		break;
	default: /* the status registers are read-only */
		break;
	}
}

static int read_port(void *opaque, uint64_t offset, void *data, uint32_t len)
{
	struct serial *serial = opaque;
	uint8_t *bytes = data;

	pthread_mutex_lock(&serial->lock);
	for (uint32_t i = 0; i < len; i++)
		bytes[i] = get_register(serial, offset + i);
	update_line(serial);
	pthread_mutex_unlock(&serial->lock);
	return 0;
}

static int write_port(void *opaque, uint64_t offset, const void *data, uint32_t len)
{
	struct serial *serial = opaque;
	const uint8_t *bytes = data;

	pthread_mutex_lock(&serial->lock);
	for (uint32_t i = 0; i < len; i++)
		set_register(serial, offset + i, bytes[i]);
	update_line(serial);
	pthread_mutex_unlock(&serial->lock);
	return 0;
}

static const struct bus_ops ops = {
	.read = read_port,
	.write = write_port,
	.name = "serial port",
};

/* ---- the other end ---- */

size_t serial_receive(struct serial *serial, const uint8_t *bytes, size_t len)
{
	size_t done = 0;

	pthread_mutex_lock(&serial->lock);
	while (done < len) {
		while (serial->nr == SERIAL_FIFO_BYTES && !serial->hung_up)
			pthread_cond_wait(&serial->room, &serial->lock);
		if (serial->hung_up)
			break;
		push(serial, bytes[done++]);
		update_line(serial);
	}
	pthread_mutex_unlock(&serial->lock);
	return done;
}

void serial_hang_up(struct serial *serial)
{
	pthread_mutex_lock(&serial->lock);
	serial->hung_up = true;
	pthread_cond_signal(&serial->room);
	pthread_mutex_unlock(&serial->lock);
}

int serial_open(struct bus *bus, uint16_t port, const struct serial_end *end, struct serial **out)
{
	struct serial *serial = malloc(sizeof(*serial));
	struct bus_range range = {
		.space = BUS_PIO,
		.base = port,
		.size = NR_REGISTERS,
		.ops = &ops,
		.opaque = serial,
	};
	int ret;

	if (!serial)
		return -ENOMEM;
	*serial = (struct serial){
		.bus = bus,
		.port = port,
		.end = *end,
		.lock = PTHREAD_MUTEX_INITIALIZER,
		.room = PTHREAD_COND_INITIALIZER,
		.dll = 1,
	};
	ret = bus_add(bus, &range);
	if (ret)
		free(serial);
	else
		*out = serial;
	return ret;
}

void serial_close(struct serial *serial)
{
	if (!serial)
		return;
	bus_remove(serial->bus, BUS_PIO, serial->port);
	free(serial);
}
