// SPDX-License-Identifier: GPL-2.0-only
/*
 * serial: a 16550 as its drivers use it.
 *
 * GPL-2.0-only, because it includes the kernel's kselftest harness.
 */
#include <linux/serial_reg.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "fastpath.h"
#include "kselftest_harness.h"
#include "lib/peer.h"
#include "lib/peer_feature.h"
#include "socket.h"

FIXTURE(serial) {
	struct peer *peer;
	char dir[64];
	char path[80];
	int fd; /* the other end of the line */
};

FIXTURE_SETUP(serial)
{
	char device[120];

	strcpy(self->dir, "/tmp/fastpath-serial-XXXXXX");
	ASSERT_NE(NULL, mkdtemp(self->dir));
	snprintf(self->path, sizeof(self->path), "%s/line", self->dir);
	snprintf(device, sizeof(device), "serial,to=%s", self->path);
	self->peer = peer_open(device, 0);
	self->fd = socket_connect(self->path);
	ASSERT_LE(0, self->fd);
}

FIXTURE_TEARDOWN(serial)
{
	peer_stop(self->peer);
	close(self->fd);
	EXPECT_EQ(0, rmdir(self->dir));
}

static uint8_t get(FIXTURE_DATA(serial) * self, unsigned int reg)
{
	return (uint8_t)peer_read(self->peer, FP_BAR0, reg, 1);
}

static void put(FIXTURE_DATA(serial) * self, unsigned int reg, uint8_t value)
{
	peer_write(self->peer, FP_BAR0, reg, value, 1);
}

/* Waits until the port has something to be read. */
static bool has_data(FIXTURE_DATA(serial) * self)
{
	int64_t deadline = 0;

	while (!(get(self, UART_LSR) & UART_LSR_DR))
		if (!peer_time_left(&deadline))
			return false;
	return true;
}

/* Exactly `len` bytes that arrive at the other end. */
static bool hears(int fd, const char *text)
{
	struct pollfd poll_fd = { .fd = fd, .events = POLLIN };
	int64_t deadline = 0;
	char byte;

	for (; *text; text++) {
		if (poll(&poll_fd, 1, peer_time_left(&deadline)) != 1 || read(fd, &byte, 1) != 1 ||
		    byte != *text)
			return false;
	}
	return true;
}

/* An eventfd for INTx. */
static int hear_intx(FIXTURE_DATA(serial) * self)
{
	struct wire_irq_set request = {
		.argsz = sizeof(request),
		.flags = WIRE_IRQ_DATA_EVENTFD | WIRE_IRQ_ACTION_TRIGGER,
		.index = FP_INTX,
		.count = 1,
	};
	int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);

	if (peer_call_fds(self->peer, WIRE_DEVICE_SET_IRQS, &request, sizeof(request), &fd, 1))
		return -1;
	return fd;
}

static int unmask(FIXTURE_DATA(serial) * self)
{
	struct wire_irq_set request = {
		.argsz = sizeof(request),
		.flags = WIRE_IRQ_DATA_NONE | WIRE_IRQ_ACTION_UNMASK,
		.index = FP_INTX,
		.count = 1,
	};

	return peer_call(self->peer, WIRE_DEVICE_SET_IRQS, &request, sizeof(request));
}

TEST_F(serial, it_is_found_as_a_16550)
{
	EXPECT_EQ(0x00021b36, peer_read(self->peer, FP_CONFIG, 0, 4));
	EXPECT_EQ(0x070002, peer_read(self->peer, FP_CONFIG, 8, 4) >> 8);
	put(self, UART_FCR, UART_FCR_ENABLE_FIFO);
	EXPECT_EQ(0xc0 | UART_IIR_NO_INT, get(self, UART_IIR));
	put(self, UART_SCR, 0x5a);
	EXPECT_EQ(0x5a, get(self, UART_SCR));
	put(self, UART_LCR, UART_LCR_DLAB);
	put(self, UART_DLL, 3);
	put(self, UART_DLM, 4);
	EXPECT_EQ(3, get(self, UART_DLL));
	put(self, UART_LCR, UART_LCR_WLEN8);
	EXPECT_EQ(0, get(self, UART_IER));
}

TEST_F(serial, a_dialogue_as_of_a_login)
{
	const char *prompt = "login: ";

	for (const char *at = prompt; *at; at++) {
		EXPECT_NE(0, get(self, UART_LSR) & UART_LSR_THRE);
		put(self, UART_TX, (uint8_t)*at);
	}
	EXPECT_TRUE(hears(self->fd, prompt));
	ASSERT_EQ(5, write(self->fd, "root\n", 5));
	for (const char *at = "root\n"; *at; at++) {
		ASSERT_TRUE(has_data(self));
		EXPECT_EQ(*at, get(self, UART_RX));
	}
	EXPECT_EQ(0, get(self, UART_LSR) & UART_LSR_DR);
}

TEST_F(serial, in_a_loop_it_hears_itself_and_nobody_else_does)
{
	put(self, UART_MCR, UART_MCR_LOOP | UART_MCR_OUT2 | UART_MCR_RTS);
	EXPECT_EQ(UART_MSR_DCD | UART_MSR_CTS, get(self, UART_MSR));
	for (unsigned int i = 0; i < 20; i++)
		put(self, UART_TX, (uint8_t)i);
	for (unsigned int i = 0; i < 16; i++)
		EXPECT_EQ(i, get(self, UART_RX));
	EXPECT_EQ(0, get(self, UART_LSR) & UART_LSR_DR);
	put(self, UART_MCR, 0);
	put(self, UART_TX, '!');
	EXPECT_TRUE(hears(self->fd, "!"));
}

TEST_F(serial, it_interrupts_when_something_was_typed_until_all_is_read)
{
	int fd = hear_intx(self);

	put(self, UART_IER, UART_IER_RDI);
	ASSERT_EQ(2, write(self->fd, "ab", 2));
	EXPECT_EQ(1, peer_eventfd_wait(fd));
	EXPECT_EQ(UART_IIR_RDI, get(self, UART_IIR));
	EXPECT_EQ('a', get(self, UART_RX));
	ASSERT_EQ(0, unmask(self));
	EXPECT_EQ(1, peer_eventfd_wait(fd)); /* one is left */
	EXPECT_EQ('b', get(self, UART_RX));
	ASSERT_EQ(0, unmask(self));
	get(self, UART_LSR);
	EXPECT_EQ(0, peer_eventfd_take(fd));
}

TEST_F(serial, it_interrupts_when_the_transmitter_is_empty_until_that_is_read)
{
	int fd = hear_intx(self);

	put(self, UART_IER, UART_IER_THRI);
	EXPECT_EQ(1, peer_eventfd_wait(fd));
	EXPECT_EQ(UART_IIR_THRI, get(self, UART_IIR));
	EXPECT_EQ(UART_IIR_NO_INT, get(self, UART_IIR));
	ASSERT_EQ(0, unmask(self));
	put(self, UART_TX, 'x');
	EXPECT_EQ(1, peer_eventfd_wait(fd));
}

TEST_F(serial, what_was_typed_ahead_and_its_registers_go_to_another_server)
{
	struct peer *to = peer_open("serial", 0);
	FIXTURE_DATA(serial) there = { .peer = to };
	uint8_t *stream;
	size_t len;

	put(self, UART_SCR, 0x77);
	put(self, UART_IER, UART_IER_RDI);
	ASSERT_EQ(3, write(self->fd, "abc", 3));
	ASSERT_TRUE(has_data(self));
	ASSERT_EQ(0, peer_mig_go(self->peer, WIRE_MIG_STOP_COPY));
	stream = peer_mig_read_all(self->peer, 65536, &len);
	ASSERT_EQ(0, peer_mig_load(to, stream, len, 65536));
	free(stream);
	ASSERT_EQ(0, peer_mig_go(to, WIRE_MIG_RUNNING));
	EXPECT_EQ(1, peer_eventfd_wait(hear_intx(&there)));
	EXPECT_EQ('a', get(&there, UART_RX));
	EXPECT_EQ('b', get(&there, UART_RX));
	EXPECT_EQ('c', get(&there, UART_RX));
	EXPECT_EQ(0x77, get(&there, UART_SCR));
	peer_stop(to);
}

TEST_HARNESS_MAIN
