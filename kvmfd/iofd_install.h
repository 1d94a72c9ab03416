/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * iofd_install: a server's io fds into KVM, so that accesses reach it without an exit. What this
 * kernel's KVM has no ioregionfd for a stand-in sends, on the vCPU's thread.
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
#include "standin.h"
#include "vm.h"

/* So many entries of one region are looked at; what comes after is refused. */
#define IOFD_MAX_ENTRIES 1024u

/* What becomes of ioregionfds. */
enum iofd_ioregion {
	IOFD_IOREGION_AUTO,    /* into KVM where it has them, else by stand-in */
	IOFD_IOREGION_STANDIN, /* by stand-in, whatever KVM has */
	IOFD_IOREGION_OFF,     /* their accesses go by socket */
};

/* The region whose fds are installed. */
struct iofd_target {
	const char *device; /* for the log; has to live as long as what is installed */
	uint32_t region;
	uint64_t size; /* bytes */
	uint64_t base; /* guest address of its first byte, or its port */
	bool is_io;    /* in I/O space */
	enum iofd_ioregion ioregion;
	struct fpc_wait wait;	 /* of a stand-in, for answers */
	unsigned int timeout_ms; /* for one */
};

/* Why an entry is refused. */
struct iofd_refusal {
	const char *field; /* "offset", "size", "fd", ... */
	uint64_t value;	   /* of that field */
	const char *why;
};

/* The fds of one region and which of them are in use. */
struct iofd_installed {
	struct vm *vm;
	struct iofd_target target;
	struct fpc_io_fds set;
	bool plugged;	   /* they are in KVM */
	bool *roads;	   /* for each entry, whether it is installed */
	uint32_t nr_roads; /* so many are */
	void **shadows;	 /* for each entry of a shadow ioeventfd the page that its value goes to */
	uint32_t *spans; /* the entries that are a stand-in's, by offset */
	uint32_t nr_spans;
	struct standin **standins; /* for each fd; NULL: none */
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
 * Takes all of them out of KVM, and keeps them; NULL is nothing. Slow: milliseconds each on some
 * kernels. Nothing is to be read or written by stand-in then: see bus_remove().
 */
void iofd_unplug(struct iofd_installed *installed);

/*
 * Installs them again, the region's first byte at `base`; NULL is nothing. One that KVM does not
 * take there goes by socket from now on, and the log says why.
 */
void iofd_plug(struct iofd_installed *installed, uint64_t base);

/* Takes all of them out of KVM, closes and frees; NULL is nothing. Slow, as iofd_unplug() is. */
void iofd_uninstall(struct iofd_installed *installed);

/*
 * Closes and frees, but leaves KVM alone, except where it would write to memory of ours: for when the
 * VM is closed next, which removes the rest.
 */
void iofd_forget(struct iofd_installed *installed);

/*
 * An access by a stand-in, of any thread and several at a time: 0, or
 *   -ENOTCONN    not by this road: no span of a stand-in's holds it whole, or its fd is lost
 *   -ECONNRESET  the fd was lost while the answer was waited for; nobody knows what was done
 */
int iofd_read(const struct iofd_installed *installed, uint64_t offset, void *data, uint32_t len);
int iofd_write(const struct iofd_installed *installed, uint64_t offset, const void *data,
	       uint32_t len);

/* Whether an ioregionfd, in KVM or by stand-in, takes accesses of `len` bytes at `offset`. */
bool iofd_has_span(const struct iofd_installed *installed, uint64_t offset, uint32_t len);

/* The entry that a store of `len` bytes with `value` at `offset` rings; NULL: it goes by socket. */
const struct fpc_io_fd *iofd_road(const struct iofd_installed *installed, uint64_t offset,
				  uint32_t len, uint64_t value);

#endif
