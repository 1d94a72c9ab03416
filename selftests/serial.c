/* SPDX-License-Identifier: GPL-2.0-only */
/* The serial port's registers, as a driver finds them. */
#include "serial.h"

#include <linux/serial_reg.h>
#include <pthread.h>
#include <string.h>

#include "kselftest_harness.h"

#define PORT 0x3f8u

FIXTURE(serial) {
	struct bus *bus;
	struct serial *serial;
	char sent[64];
	unsigned int nr_sent;
	bool line;
	unsigned int edges; /* upwards */
};

static void send(void *opaque, uint8_t byte)
{
	FIXTURE_DATA(serial) *self = opaque;

	self->sent[self->nr_sent++] = (char)byte;
}

static void interrupt(void *opaque, bool high)
{
	FIXTURE_DATA(serial) *self = opaque;

	self->line = high;
	self->edges += high;
}

FIXTURE_SETUP(serial)
{
	const struct serial_end end = { send, interrupt, self };

	ASSERT_EQ(0, bus_open(&self->bus));
	ASSERT_EQ(0, serial_open(self->bus, PORT, &end, &self->serial));
}

FIXTURE_TEARDOWN(serial)
{
	serial_close(self->serial);
	bus_close(self->bus);
}

static uint8_t get(struct bus *bus, unsigned int reg)
{
	uint8_t value = 0;

	bus_read(bus, BUS_PIO, PORT + reg, &value, 1);
	return value;
}

static void set(struct bus *bus, unsigned int reg, uint8_t value)
{
	bus_write(bus, BUS_PIO, PORT + reg, &value, 1);
}

#define GET(reg) get(self->bus, reg)
#define SET(reg, value) set(self->bus, reg, value)
#define RECEIVE(text) \
	ASSERT_EQ(strlen(text), serial_receive(self->serial, (const uint8_t *)(text), strlen(text)))

TEST_F(serial, what_is_sent_is_out_at_once_and_the_transmitter_empty)
{
	SET(UART_TX, 'a');
	SET(UART_TX, 'b');
	EXPECT_STREQ("ab", self->sent);
	EXPECT_EQ(UART_LSR_THRE | UART_LSR_TEMT, GET(UART_LSR));
	EXPECT_EQ(0, self->edges);
}

TEST_F(serial, the_divisor_lies_over_data_and_interrupts_and_sends_nothing)
{
	SET(UART_LCR, UART_LCR_DLAB);
	SET(UART_DLL, 12);
	SET(UART_DLM, 3);
	EXPECT_EQ(12, GET(UART_DLL));
	EXPECT_EQ(3, GET(UART_DLM));
	SET(UART_LCR, 0);
	EXPECT_EQ(0, GET(UART_IER));
	EXPECT_EQ(0, self->nr_sent);
}

TEST_F(serial, bytes_come_in_in_their_order_and_interrupt_until_they_are_read)
{
	SET(UART_IER, UART_IER_RDI);
	EXPECT_FALSE(self->line);
	RECEIVE("xyz");
	EXPECT_TRUE(self->line);
	EXPECT_EQ(UART_IIR_RDI, GET(UART_IIR));
	EXPECT_EQ('x', GET(UART_RX));
	EXPECT_EQ('y', GET(UART_RX));
	EXPECT_TRUE(self->line);
	EXPECT_TRUE(GET(UART_LSR) & UART_LSR_DR);
	EXPECT_EQ('z', GET(UART_RX));
	EXPECT_FALSE(self->line);
	EXPECT_FALSE(GET(UART_LSR) & UART_LSR_DR);
	EXPECT_EQ(UART_IIR_NO_INT, GET(UART_IIR));
}

TEST_F(serial, an_empty_transmitter_interrupts_once_until_it_is_heard)
{
	SET(UART_IER, UART_IER_THRI);
	EXPECT_TRUE(self->line);
	EXPECT_EQ(UART_IIR_THRI, GET(UART_IIR));
	EXPECT_FALSE(self->line);
	EXPECT_EQ(UART_IIR_NO_INT, GET(UART_IIR));
	SET(UART_TX, 'a');
	EXPECT_TRUE(self->line);
	EXPECT_EQ(2, self->edges);
}

TEST_F(serial, in_a_loop_bytes_come_back_and_the_modem_is_the_port_itself)
{
	SET(UART_MCR, UART_MCR_LOOP | UART_MCR_OUT2 | UART_MCR_RTS);
	EXPECT_EQ(UART_MSR_DCD | UART_MSR_CTS, GET(UART_MSR));
	SET(UART_TX, 'l');
	EXPECT_EQ(0, self->nr_sent);
	EXPECT_EQ('l', GET(UART_RX));
	SET(UART_MCR, 0);
	EXPECT_EQ(UART_MSR_DCD | UART_MSR_DSR | UART_MSR_CTS, GET(UART_MSR));
}

TEST_F(serial, it_says_that_it_has_a_fifo_once_that_is_on_and_a_reset_empties_it)
{
	EXPECT_EQ(UART_IIR_NO_INT, GET(UART_IIR));
	SET(UART_FCR, UART_FCR_ENABLE_FIFO);
	EXPECT_EQ(UART_IIR_NO_INT | 0xc0, GET(UART_IIR));
	RECEIVE("abc");
	SET(UART_FCR, UART_FCR_ENABLE_FIFO | UART_FCR_CLEAR_RCVR);
	EXPECT_FALSE(GET(UART_LSR) & UART_LSR_DR);
}

struct sender {
	struct serial *serial;
	size_t sent;
};

static void *send_20(void *opaque)
{
	struct sender *sender = opaque;

	sender->sent = serial_receive(sender->serial, (const uint8_t *)"abcdefghijklmnopqrst", 20);
	return NULL;
}

TEST_F(serial, a_sender_waits_for_room_and_no_byte_is_lost)
{
	struct sender sender = { .serial = self->serial };
	pthread_t thread;

	ASSERT_EQ(0, pthread_create(&thread, NULL, send_20, &sender));
	for (int i = 0; i < 20; i++) {
		while (!(GET(UART_LSR) & UART_LSR_DR))
			; /* it is about to come */
		EXPECT_EQ('a' + i, GET(UART_RX));
	}
	pthread_join(thread, NULL);
	EXPECT_EQ(20, sender.sent);
}

TEST_F(serial, hanging_up_ends_the_wait_for_room)
{
	struct sender sender = { .serial = self->serial };
	pthread_t thread;

	ASSERT_EQ(0, pthread_create(&thread, NULL, send_20, &sender));
	serial_hang_up(self->serial);
	pthread_join(thread, NULL);
	EXPECT_GE(SERIAL_FIFO_BYTES, sender.sent);
}

TEST_HARNESS_MAIN
