/* SPDX-License-Identifier: BSD-3-Clause */
/* vfio_pci_dev: the insides of a vfio_pci, shared by its files and nobody else. */
#ifndef KVMFD_VFIO_PCI_DEV_H
#define KVMFD_VFIO_PCI_DEV_H

#include "irqfd.h"
#include "msix.h"
#include "vfio_pci.h"

/* VFIO's numbers of regions: the BARs, then */
#define ROM_REGION 6u
#define CONFIG_REGION 7u
#define NR_WINDOWS 7u /* BARs and ROM: what has an address */

/* What is kept of the configuration space: all that a PCI device has without Express. */
#define CONFIG_BYTES 256u

/* No list of capabilities is longer: they are 4 bytes at least, in 192. */
#define MAX_CAPS 48u

/* A capability of the device, as it was at power-on. */
struct cap {
	uint8_t id;
	uint8_t at;
	uint8_t link; /* where the pointer to it is */
};

/*
 * The configuration space. The server has it, and sees all writes; the bits that are `kept` are
 * answered by this end, which acts upon them.
 */
struct config {
	uint32_t bytes; /* that the server has */
	uint8_t power_on[CONFIG_BYTES];
	uint8_t initial[CONFIG_BYTES]; /* of the kept bits */
	uint8_t value[CONFIG_BYTES];
	uint8_t kept[CONFIG_BYTES];
	uint8_t writable[CONFIG_BYTES]; /* by the guest; kept, too */
	struct cap caps[MAX_CAPS];
	unsigned int nr_caps;
	uint8_t power_state; /* D0 to D3 */
};

struct bar {
	struct vfio_pci *dev;
	unsigned int index;
	struct vfio_pci_bar pub;
	struct iofd_installed *io_fds;
	struct iofd_installed *held; /* the same, out of the way for a while */
	struct mapped *mapped;
	bool opened;	   /* the two have been asked for */
	uint64_t firmware; /* where it was put at first; 0: nowhere */
	uint64_t refused;  /* where it could not go, and the log has it */
};

/* A kind of interrupts: VFIO's numbers. */
enum irq_mode {
	IRQ_NONE = -1,
	IRQ_INTX = 0,
	IRQ_MSI = 1,
	IRQ_MSIX = 2,
};

struct irqs {
	bool there;	      /* the machine can take interrupts */
	bool has_line;	      /* and the device has INTx */
	unsigned int msi;     /* where the capability is; 0: none */
	unsigned int msix;    /* the same */
	unsigned int msi_max; /* vectors */
	unsigned int nr_msix; /* the same */

	struct msix *table;
	struct fpc_area table_area; /* in BAR `table_bar` */
	struct fpc_area pba_area;
	unsigned int table_bar;
	unsigned int pba_bar;

	/* What the guest has enabled; the server signals these fds. */
	enum irq_mode mode;
	uint32_t nr;
	int *fds;
	struct irqfd *irqfds; /* NULL: the server could not do it, and the log has it */
	bool line_plugged;
	int resample; /* of INTx: tells the server that the guest is done */
};

struct vfio_pci {
	struct machine *machine;
	struct fpc *client;
	int socket; /* the client's, a duplicate: shut down when the server is given up. -1: left */
	struct vfio_pci_options options;
	char *moved_to;	   /* what options.socket is then; NULL: where it was at first */
	unsigned int slot; /* 0: none yet */
	struct config config;
	struct bar bars[NR_WINDOWS];
	struct irqs irqs;
	bool resettable;
	bool memory_open; /* the device may reach the guest's */
	bool gone;	  /* the server is, and the log has it */
	bool said_errors; /* the log has the first error that it answered */
};

/* ---- vfio_pci.c ---- */

/* Says that `what` has failed, and returns the error. */
int vfio_pci_failed(const struct vfio_pci *dev, const char *what, int ret);

/* Whether an error is the end of the connection; whoever polls the socket hears of it then. */
bool vfio_pci_ends(const struct vfio_pci *dev, int ret);

/* An access of the guest's could not be done: says so the first time. */
void vfio_pci_lament(struct vfio_pci *dev, const char *what, unsigned int region, uint64_t offset,
		     int ret);

/* The guest's memory is the device's as long as it is a bus master. */
int vfio_pci_memory_update(struct vfio_pci *dev);

/* DMA_MAP of it at a server. */
int vfio_pci_memory_open(struct vfio_pci *dev, struct fpc *client);

/* DEVICE_RESET, if it has that. */
int vfio_pci_reset(struct vfio_pci *dev);

/* ---- vfio_pci_join.c ---- */

/* A duplicate of the client's socket, for vfio_pci_take(); -errno. */
int vfio_pci_dup_socket(const struct fpc *client);

/* The client is the device's from now on, with that duplicate; the one before is closed. */
void vfio_pci_take(struct vfio_pci *dev, struct fpc *client, int socket);

/* ---- vfio_pci_config.c ---- */

/* How many bytes of it a server has, as far as a guest can reach them; -errno. */
int vfio_pci_config_size(struct fpc *client, uint32_t *bytes);

/* Reads what the device is at power-on. */
int vfio_pci_config_open(struct vfio_pci *dev);

/* Keeps `bytes` bytes at `at`: the bits of `kept`, of which a guest may write those of `writable`. */
void vfio_pci_config_keep(struct vfio_pci *dev, unsigned int at, unsigned int bytes, uint32_t value,
			  uint32_t kept, uint32_t writable);

/* As it was at power-on, or as it is now; aligned or not. */
uint32_t vfio_pci_config_initial(const struct vfio_pci *dev, unsigned int at, unsigned int bytes);
uint32_t vfio_pci_config_value(const struct vfio_pci *dev, unsigned int at, unsigned int bytes);

/* Where a capability of `id` that is `bytes` long lies; 0: there is none. */
unsigned int vfio_pci_config_cap(const struct vfio_pci *dev, uint8_t id, unsigned int bytes);

/* Takes it out of the list that the guest sees. */
void vfio_pci_config_hide(struct vfio_pci *dev, unsigned int at);

/* Writes as firmware does, to what is kept and to the server. Nothing follows from it. */
int vfio_pci_config_program(struct vfio_pci *dev, unsigned int at, uint32_t value,
			    unsigned int bytes);

/* Writes what is kept to a server that does not know it yet. */
int vfio_pci_config_repeat(struct vfio_pci *dev);

/* What the guest has set up is gone: all that is kept is as at power-on, and the rest follows. */
void vfio_pci_config_forget(struct vfio_pci *dev);

/* The guest's accesses. */
extern const struct pci_function_ops vfio_pci_config_ops;

/* ---- vfio_pci_bars.c ---- */

/* Asks the server what they are. */
int vfio_pci_bars_open(struct vfio_pci *dev);

/* What firmware does: gives each an address, the same one each time. */
int vfio_pci_bars_program(struct vfio_pci *dev);

/*
 * Puts each where its register and the command register say, or nowhere. An error has been said to
 * the log.
 */
int vfio_pci_bars_update(struct vfio_pci *dev);

/* Another function's BAR has moved: those that could not go there may now. */
void vfio_pci_bars_freed(struct vfio_pci *dev);
/* No io fds and no memory of the server's are the guest's any more; it may get others. */
void vfio_pci_bars_leave(struct vfio_pci *dev);

/* They are installed, of another server. An error has been said to the log. */
int vfio_pci_bars_rejoin(struct vfio_pci *dev);

/* Accesses come here, all of them, until it is over: then they go as before. */
void vfio_pci_bars_hold(struct vfio_pci *dev);
void vfio_pci_bars_release(struct vfio_pci *dev);

void vfio_pci_bars_close(struct vfio_pci *dev);

/* ---- vfio_pci_irqs.c ---- */

/* Finds out what kinds of interrupts there are. */
int vfio_pci_irqs_open(struct vfio_pci *dev);

/* Has them arrive as the configuration space says. */
void vfio_pci_irqs_update(struct vfio_pci *dev);

/* Has another server signal the eventfds that are in KVM; */
int vfio_pci_irqs_repeat(struct vfio_pci *dev, struct fpc *client);

/* and this one no more. */
void vfio_pci_irqs_silence(struct vfio_pci *dev);

/* Has the server look whether it still has a reason for INTx, as after an end of interrupt. */
void vfio_pci_irqs_ask(const struct vfio_pci *dev);

/* As at power-on. */
void vfio_pci_irqs_reset(struct vfio_pci *dev);

void vfio_pci_irqs_close(struct vfio_pci *dev);

/* How many of a kind the server can signal by eventfd, as those flags (FPC_IRQ_*) say. */
uint32_t vfio_pci_irqs_count(struct fpc *client, enum irq_mode mode, uint32_t flags);

/* ---- vfio_pci_messages.c ---- */

/* Finds MSI and MSI-X; one that can't be is hidden from the guest, with a line. */
void vfio_pci_messages_open(struct vfio_pci *dev);

/* Which of the two the guest has enabled, and how many vectors. */
enum irq_mode vfio_pci_messages_wanted(const struct vfio_pci *dev, uint32_t *nr);

/* Before the mode changes: no vector is a message any more. */
void vfio_pci_messages_stop(struct vfio_pci *dev);

/* Routes and masks as the guest has set them. */
void vfio_pci_messages_update(struct vfio_pci *dev);

/* Whether an access to a BAR is one to the MSI-X table or its pending bits. Any thread may ask. */
bool vfio_pci_messages_take(const struct vfio_pci *dev, unsigned int bar, uint64_t offset,
			    uint32_t len);

/* The same, and it has been done then. */
bool vfio_pci_messages_read(struct vfio_pci *dev, unsigned int bar, uint64_t offset, void *data,
			    uint32_t len);
bool vfio_pci_messages_write(struct vfio_pci *dev, unsigned int bar, uint64_t offset,
			     const void *data, uint32_t len);

/* The pages of a BAR that those are in, two at most; returns how many. */
unsigned int vfio_pci_messages_holes(const struct vfio_pci *dev, unsigned int bar,
				     struct fpc_area *holes);

/* Brings MSI's pending bits up to date, for a read of the configuration space. */
void vfio_pci_messages_refresh(struct vfio_pci *dev);

#endif
