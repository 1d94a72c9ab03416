/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * guest: what bare guest programs share. Freestanding; payload_abi.h says where they find
 * themselves.
 */
#ifndef BENCH_GUEST_H
#define BENCH_GUEST_H

#include <stddef.h>
#include <stdint.h>

#include "payload_abi.h"

/* In front of the program's _start(), the function that is to be its first byte. */
#define GUEST_ENTRY __attribute__((section(".entry"), used, noreturn))

/* Single accesses of a device in memory space, in the order of the program. */
static inline void guest_write8(uint64_t address, uint8_t value)
{
	*(volatile uint8_t *)address = value;
}

static inline void guest_write16(uint64_t address, uint16_t value)
{
	*(volatile uint16_t *)address = value;
}

static inline void guest_write32(uint64_t address, uint32_t value)
{
	*(volatile uint32_t *)address = value;
}

static inline void guest_write64(uint64_t address, uint64_t value)
{
	*(volatile uint64_t *)address = value;
}

static inline uint8_t guest_read8(uint64_t address)
{
	return *(volatile uint8_t *)address;
}

static inline uint16_t guest_read16(uint64_t address)
{
	return *(volatile uint16_t *)address;
}

static inline uint32_t guest_read32(uint64_t address)
{
	return *(volatile uint32_t *)address;
}

static inline uint64_t guest_read64(uint64_t address)
{
	return *(volatile uint64_t *)address;
}

/* The same of one in I/O space. */
static inline void guest_out8(uint16_t port, uint8_t value)
{
	__asm__ volatile("outb %0, %1" : : "a"(value), "Nd"(port) : "memory");
}

static inline void guest_out32(uint16_t port, uint32_t value)
{
	__asm__ volatile("outl %0, %1" : : "a"(value), "Nd"(port) : "memory");
}

static inline uint32_t guest_in32(uint16_t port)
{
	uint32_t value;

	__asm__ volatile("inl %1, %0" : "=a"(value) : "Nd"(port) : "memory");
	return value;
}

/* Ends the run, `code` being the exit code. Returns only if the monitor runs the guest on. */
static inline void guest_exit(const struct payload_params *params, uint64_t code)
{
	guest_write64(params->exit_address, code);
	/* The monitor may have written to any memory meanwhile. */
	__asm__ volatile("" : : : "memory");
}

/* Ends this vCPU; the others go on. */
static inline void __attribute__((noreturn)) guest_leave(const struct payload_params *params)
{
	for (;;)
		guest_write32(params->leave_address, 0);
}

static inline void guest_print(const struct payload_params *params, const char *text)
{
	while (*text)
		guest_write8(params->console_address, (uint8_t)*text++);
}

static inline void guest_print_decimal(const struct payload_params *params, uint64_t value)
{
	char digits[20];
	int nr = 0;

	do
		digits[nr++] = (char)('0' + value % 10);
	while (value /= 10);
	while (nr)
		guest_write8(params->console_address, (uint8_t)digits[--nr]);
}

/* In hexadecimal, without leading zeros. */
static inline void guest_print_hex(const struct payload_params *params, uint64_t value)
{
	int digits = 1;

	while (digits < 16 && value >> 4 * digits)
		digits++;
	guest_print(params, "0x");
	while (digits--)
		guest_write8(params->console_address,
			     (uint8_t) "0123456789abcdef"[value >> 4 * digits & 15]);
}

#endif
