/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * serial: a 16550 on a PCI bus, QEMU's pci-serial (1b36:0002): a console for which no guest needs a
 * module. All eight registers are one posted span: a guest that prints waits for none of its writes,
 * and what it reads comes after them.
 *
 * The line has no speed: what is written leaves at once, what was typed is there at once.
 */
#include <errno.h>
#include <linux/serial_reg.h>

#include "terminal.h"

#define NR_REGISTERS 8u
#define LOOP_BYTES 16u /* the FIFO of a 16550 */

/* Somebody is always there, and always ready. */
#define MODEM_READY (UART_MSR_DCD | UART_MSR_DSR | UART_MSR_CTS)

/* What travels. */
struct uart {
	uint8_t ier, fcr, lcr, mcr, scr, dll, dlm;
	uint8_t sent; /* "the transmitter is empty" is still to be told */
	uint8_t loop[LOOP_BYTES];
	uint8_t looped; /* bytes in it */
};

struct serial {
	struct uart uart;
	struct terminal terminal;
};

/* ---- interrupts ---- */

static bool is_loop(const struct uart *uart)
{
	return uart->mcr & UART_MCR_LOOP;
}

static bool has_data(const struct serial *serial)
{
	return is_loop(&serial->uart) ? serial->uart.looped : terminal_typed(&serial->terminal);
}

static uint8_t cause(const struct serial *serial)
{
	const struct uart *uart = &serial->uart;

	if (uart->ier & UART_IER_RDI && has_data(serial))
		return UART_IIR_RDI;
	if (uart->ier & UART_IER_THRI && uart->sent)
		return UART_IIR_THRI;
	return UART_IIR_NO_INT;
}

static void update_line(struct serial *serial)
{
	fp_irq_level(serial->terminal.dev, cause(serial) != UART_IIR_NO_INT);
}

static void typed_in(struct terminal *terminal)
{
	update_line((struct serial *)((char *)terminal - offsetof(struct serial, terminal)));
}

/* ---- registers ---- */

static uint8_t receive(struct serial *serial)
{
	struct uart *uart = &serial->uart;
	uint8_t byte = 0;

	if (!is_loop(uart)) {
		terminal_take(&serial->terminal, &byte, 1);
	} else if (uart->looped) {
		byte = uart->loop[0];
		memmove(uart->loop, uart->loop + 1, --uart->looped);
	}
	return byte;
}

static void transmit(struct serial *serial, uint8_t byte)
{
	struct uart *uart = &serial->uart;

	if (!is_loop(uart))
		terminal_put(&serial->terminal, &byte, 1);
	else if (uart->looped < LOOP_BYTES)
		uart->loop[uart->looped++] = byte;
	uart->sent = true;
}

static uint8_t identify(struct serial *serial)
{
	uint8_t iir = cause(serial);

	/* To read it is to have heard it. */
	if (iir == UART_IIR_THRI)
		serial->uart.sent = false;
	return iir | (serial->uart.fcr & UART_FCR_ENABLE_FIFO ? 0xc0 : 0);
}

/* In a loop the port is its own modem: autodetection relies on it. */
static uint8_t modem_status(const struct uart *uart)
{
	static const uint8_t looped[][2] = {
		{ UART_MCR_DTR, UART_MSR_DSR },
		{ UART_MCR_RTS, UART_MSR_CTS },
		{ UART_MCR_OUT1, UART_MSR_RI },
		{ UART_MCR_OUT2, UART_MSR_DCD },
	};
	uint8_t status = 0;

	if (!is_loop(uart))
		return MODEM_READY;
	for (size_t i = 0; i < sizeof(looped) / sizeof(*looped); i++)
		if (uart->mcr & looped[i][0])
			status |= looped[i][1];
	return status;
}

static uint8_t get_register(struct serial *serial, uint64_t reg)
{
	struct uart *uart = &serial->uart;
	bool divisor = uart->lcr & UART_LCR_DLAB;

	switch (reg) {
	case UART_RX:
		return divisor ? uart->dll : receive(serial);
	case UART_IER:
		return divisor ? uart->dlm : uart->ier;
	case UART_IIR:
		return identify(serial);
	case UART_LCR:
		return uart->lcr;
	case UART_MCR:
		return uart->mcr;
	case UART_LSR:
		return (uint8_t)(UART_LSR_THRE | UART_LSR_TEMT |
				 (has_data(serial) ? UART_LSR_DR : 0));
	case UART_MSR:
		return modem_status(uart);
	default:
		return uart->scr;
	}
}

static void set_interrupts(struct uart *uart, uint8_t value)
{
	/* The transmitter is empty, which is news to who has just asked. */
	if (value & UART_IER_THRI && !(uart->ier & UART_IER_THRI))
		uart->sent = true;
	uart->ier = value & 0x0f;
}

static void set_register(struct serial *serial, uint64_t reg, uint8_t value)
{
	struct uart *uart = &serial->uart;
	bool divisor = uart->lcr & UART_LCR_DLAB;

	switch (reg) {
	case UART_TX:
		if (divisor)
			uart->dll = value;
		else
			transmit(serial, value);
		break;
	case UART_IER:
		if (divisor)
			uart->dlm = value;
		else
			set_interrupts(uart, value);
		break;
	case UART_FCR:
		/* What was typed stays: a guest that starts would lose what was typed ahead. */
		if (value & UART_FCR_CLEAR_RCVR)
			uart->looped = 0;
		uart->fcr = value & UART_FCR_ENABLE_FIFO;
		break;
	case UART_LCR:
		uart->lcr = value;
		break;
	case UART_MCR:
		uart->mcr = value & 0x1f;
		break;
	case UART_SCR:
		uart->scr = value;
		break;
	default: /* the status registers are read-only */
		break;
	}
}

static int serial_access(struct fp_device *dev, struct fp_access *access)
{
	struct serial *serial = fp_state(dev);
	uint8_t *bytes = access->data;

	for (uint32_t i = 0; i < access->size; i++) {
		if (access->write)
			set_register(serial, access->offset + i, bytes[i]);
		else
			bytes[i] = get_register(serial, access->offset + i);
	}
	update_line(serial);
	return 0;
}

/* ---- life ---- */

static int serial_reset(struct fp_device *dev)
{
	((struct serial *)fp_state(dev))->uart = (struct uart){ .dll = 1 };
	return 0;
}

static int serial_open(struct fp_device *dev)
{
	struct serial *serial = fp_state(dev);

	serial_reset(dev);
	serial->terminal.typed_in = typed_in;
	return terminal_open(&serial->terminal, dev);
}

static void serial_close(struct fp_device *dev)
{
	terminal_close(&((struct serial *)fp_state(dev))->terminal);
}

static int serial_save(struct fp_device *dev, struct fp_stream *to)
{
	const struct serial *serial = fp_state(dev);

	fp_stream_write(to, &serial->uart, sizeof(serial->uart));
	return terminal_save(&serial->terminal, to);
}

static int serial_load(struct fp_device *dev, struct fp_stream *from)
{
	struct serial *serial = fp_state(dev);
	struct uart uart;

	if (fp_stream_read(from, &uart, sizeof(uart)) || uart.looped > LOOP_BYTES ||
	    terminal_load(&serial->terminal, from))
		return -EINVAL;
	serial->uart = uart;
	update_line(serial);
	return 0;
}

static const struct fp_key keys[] = {
	TERMINAL_KEYS(struct serial, terminal),
	{ 0 },
};

static const struct fp_span spans[] = { { .offset = 0, .size = NR_REGISTERS, .posted = true } };

FP_DEVICE(serial) = {
	.name = "serial",
	.summary = "a 16550 serial port at a terminal or socket",
	.state_bytes = sizeof(struct serial),
	.keys = keys,
	TERMINAL_NEEDS,
	.pci = { .vendor = 0x1b36, .device = 0x0002, .class_code = 0x070002, .revision = 1 },
	.regions[FP_BAR0] = { .size = NR_REGISTERS,
			      .flags = FP_REGION_IO,
			      .access = serial_access,
			      .spans = spans,
			      .nr_spans = 1 },
	.irqs = { [FP_INTX] = 1 },
	.open = serial_open,
	.reset = serial_reset,
	.save = serial_save,
	.load = serial_load,
	.close = serial_close,
};
