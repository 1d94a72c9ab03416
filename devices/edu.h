/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * edu: the registers of the device that people learn to write drivers with, 1234:11e8. QEMU's
 * documentation, "EDU device", says what they do.
 */
#ifndef FASTPATH_EDU_H
#define FASTPATH_EDU_H

#define EDU_VENDOR 0x1234
#define EDU_DEVICE 0x11e8

#define EDU_BAR_BYTES 0x100000u

/* Of BAR0. Below 0x80 accesses have 4 bytes, from there on 4 or 8. */
enum {
	EDU_ID = 0x00,	      /* EDU_ID_VALUE; read only */
	EDU_LIVENESS = 0x04,  /* what was written, inverted */
	EDU_FACTORIAL = 0x08, /* n becomes n!, modulo 2^32 */
	EDU_STATUS = 0x20,
	EDU_IRQ_STATUS = 0x24, /* why it interrupts; read only */
	EDU_IRQ_RAISE = 0x60,  /* these bits are set there; write only */
	EDU_IRQ_ACK = 0x64,    /* and these cleared; write only */
	EDU_DMA_FROM = 0x80,
	EDU_DMA_TO = 0x88,
	EDU_DMA_COUNT = 0x90,
	EDU_DMA_COMMAND = 0x98,
};

#define EDU_ID_VALUE 0x010000edu

#define EDU_STATUS_COMPUTING 0x01u
#define EDU_STATUS_INTERRUPT 0x80u /* when a factorial is done */

#define EDU_IRQ_FACTORIAL 0x001u
#define EDU_IRQ_DMA 0x100u

#define EDU_DMA_START 0x1u
#define EDU_DMA_TO_MEMORY 0x2u /* from the buffer; else to it */
#define EDU_DMA_INTERRUPT 0x4u

/* An address of the transfer that is the device's own. */
#define EDU_BUFFER 0x40000u
#define EDU_BUFFER_BYTES 4096u

#endif
