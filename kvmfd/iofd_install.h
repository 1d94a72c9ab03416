/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * iofd_install: a server's io fds into KVM, so that stores reach it without an exit.
 *
 * What the server says of its fds is not trusted: each entry is checked completely before KVM sees
 * it. One that is refused costs its accesses the fast road and nothing else: they leave the guest
 * and go by socket. The log says once per entry why.
 */
#ifndef KVMFD_IOFD_INSTALL_H
#define KVMFD_IOFD_INSTALL_H

#include <stdbool.h>
#include <stdint.h>

#include "fastpath-client.h"
#include "vm.h"

/* So many entries of one region are looked at; what comes after is refused. */
#define IOFD_MAX_ENTRIES 1024u

/* The region whose fds are installed. */
struct iofd_target {
	const char *device; /* for the log; has to live as long as what is installed */
	uint32_t region;
	uint64_t size; /* bytes */
	uint64_t base; /* guest address of its first byte, or its port */
	bool is_io;    /* in I/O space */
};

/* Why an entry is refused. */
struct iofd_refusal {
	const char *field; /* "offset", "size", "fd", ... */
	uint64_t value;	   /* of that field */
	const char *why;
};

/* The fds of one region and which of them are in KVM. */
struct iofd_installed {
	struct vm *vm;
	struct iofd_target target;
	struct fpc_io_fds set;
	bool *roads;	   /* for each entry, whether it is installed */
	uint32_t nr_roads; /* so many are */
};

/*
 * Looks at entry `i` of a set: 0 when it may be installed next to those before it for which `roads`
 * is true (NULL: all of them), else -EINVAL, with *refusal filled in. Has no effect.
 */
int iofd_check(const struct iofd_target *target, const struct fpc_io_fds *set, const bool *roads,
	       uint32_t i, struct iofd_refusal *refusal);

/*
 * Installs what may be installed of `set`, which is moved (*set is empty afterwards), also on
 * failure. *out is to be given to iofd_uninstall() or iofd_forget(). -ENOMEM. A refused entry is
 * not a failure.
 */
int iofd_install(struct vm *vm, const struct iofd_target *target, struct fpc_io_fds *set,
		 struct iofd_installed **out);

/*
 * Takes all of them out of KVM, closes and frees; NULL is nothing. Slow: milliseconds each on some
 * kernels.
 */
void iofd_uninstall(struct iofd_installed *installed);

/* Closes and frees, but leaves KVM alone: for when the VM is closed next, which removes them. */
void iofd_forget(struct iofd_installed *installed);

/* The entry that a store of `len` bytes with `value` at `offset` rings; NULL: it goes by socket. */
const struct fpc_io_fd *iofd_road(const struct iofd_installed *installed, uint64_t offset,
				  uint32_t len, uint64_t value);

#endif
