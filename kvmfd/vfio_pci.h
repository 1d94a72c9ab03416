/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * vfio_pci: a vfio-user PCI device as the monitor sees it.
 *
 * It plays firmware: finds the BARs, gives them guest addresses, programs and enables them. The
 * guest's accesses go to the server by message, but for those that ring the server's io fds. The
 * guest finds it on the machine's PCI bus, and may move its BARs. In a machine that has interrupt
 * controllers the device's interrupts arrive, too.
 */
#ifndef KVMFD_VFIO_PCI_H
#define KVMFD_VFIO_PCI_H

#include <stdbool.h>
#include <stdint.h>

#include "fastpath-client.h"
#include "iofd_install.h"
#include "machine.h"
#include "mapped.h"

#define VFIO_PCI_NR_BARS 6u

struct vfio_pci;

/* What becomes of a device whose server has gone. */
enum vfio_pci_reconnect {
	VFIO_PCI_KEEP,	/* it comes back where it was, as after a reset by the guest */
	VFIO_PCI_RESET, /* it comes back as at power-on: the guest has to find it again */
	VFIO_PCI_END,	/* nobody wants to go on without it */
};

struct vfio_pci_options {
	const char *socket; /* path; kept, for the log too */
	const char *id;	    /* for people to call it by; kept */
	enum vfio_pci_reconnect reconnect;
	bool attended;	/* somebody polls vfio_pci_socket(), and says when the server goes */
	bool no_io_fds; /* everything by socket */
	bool no_mmap;	/* also what could be the guest's memory */
	enum iofd_ioregion ioregion;
	unsigned int slot;    /* on the bus, 1 to 31; 0: the next that is free */
	bool posted;	      /* writes by socket don't wait for an answer */
	struct fpc_wait wait; /* for answers */
	/* Taken instead of connecting to `socket`, when not NULL; also on failure. */
	struct fpc *client;
};

struct vfio_pci_bar {
	uint64_t size; /* bytes; 0: not there */
	uint64_t base; /* guest address, or port, where it is or was last */
	bool placed;   /* it is there */
	enum bus_space space;
	bool is_64;
	bool prefetchable;
	/* Accesses that went by message, and by an ioregionfd's stand-in. */
	uint64_t reads;
	uint64_t writes;
	uint64_t standin_reads;
	uint64_t standin_writes;
	const struct iofd_installed *io_fds; /* NULL: none */
	const struct mapped *mapped;	     /* NULL: none */
};

/*
 * Connects a device and puts it into the machine. *out is to be given to vfio_pci_close(), before
 * machine_close(). -errno, said to the log. A server that breaks off later, or answers with an
 * error, is said once; the guest's reads give all ones then.
 */
int vfio_pci_open(struct machine *machine, const struct vfio_pci_options *options,
		  struct vfio_pci **out);

/* Disconnects and frees. The io fds stay in KVM until the machine is closed. NULL is nothing. */
void vfio_pci_close(struct vfio_pci *dev);

/* ---- when its server goes, or another one is to take its place ---- */

/* Room for a reason, in words. */
#define VFIO_PCI_WHY 160u

/* Connects to a server, so that vfio_pci_rejoin() can take the client. -errno. */
int vfio_pci_connect(const struct vfio_pci *dev, const char *address, struct fpc **out);

/*
 * Whether the device at a server is the same one for a guest: ids, capabilities, regions and
 * interrupts. 0, or -ENODEV or the -errno of a call, and why in words.
 */
int vfio_pci_match(struct vfio_pci *dev, struct fpc *client, char why[VFIO_PCI_WHY]);

/*
 * To be polled for POLLRDHUP: the server has gone, or was given up. Not to be read or closed; -1:
 * vfio_pci_leave() was called.
 */
int vfio_pci_socket(const struct vfio_pci *dev);

/* Whether that is so now. */
bool vfio_pci_is_lost(const struct vfio_pci *dev);

/*
 * The server has gone: its io fds and its memory are taken from the guest, whose reads give all ones
 * and whose writes are dropped.
 */
void vfio_pci_leave(struct vfio_pci *dev);

/*
 * A new server's device, which vfio_pci_match() has accepted, is reset and becomes this one: it gets
 * the guest's memory, interrupts and what the guest has set up, as options.reconnect says, and io
 * fds and memory are installed. Takes the client, also on failure: -errno, said to the log, and the
 * device is left again.
 */
int vfio_pci_rejoin(struct vfio_pci *dev, struct fpc *client);

/* Where its server is, for people. */
const char *vfio_pci_name(const struct vfio_pci *dev);

const struct vfio_pci_options *vfio_pci_options(const struct vfio_pci *dev);

/* BAR `index` of VFIO_PCI_NR_BARS. */
const struct vfio_pci_bar *vfio_pci_bar(const struct vfio_pci *dev, unsigned int index);

/* Whether writes by socket wait for an answer, from now on. */
void vfio_pci_set_posted(struct vfio_pci *dev, bool posted);

uint16_t vfio_pci_vendor_id(const struct vfio_pci *dev);
uint16_t vfio_pci_device_id(const struct vfio_pci *dev);

/* Where on the bus it is. */
unsigned int vfio_pci_slot(const struct vfio_pci *dev);

/* BAR 0 to 5, or 6 for the ROM, of the one that answers the bus as `opaque`; -ENOENT: none of them. */
int vfio_pci_bar_of(const struct vfio_pci *dev, const void *opaque);

/* The device's interrupts, as the guest has set them up. */
struct vfio_pci_interrupts {
	const char *kind; /* "INTx", "MSI", "MSI-X"; NULL: none */
	uint32_t nr;	  /* enabled vectors */
	uint32_t routed;  /* of these, those that KVM delivers by itself */
	uint32_t pending; /* and those that wait for an end of their mask */
};

struct vfio_pci_interrupts vfio_pci_interrupts(const struct vfio_pci *dev);

/* The connection, for what has no function here. It stays the device's. */
struct fpc *vfio_pci_client(struct vfio_pci *dev);

#endif
