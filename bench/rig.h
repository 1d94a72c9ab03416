/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * rig: what is measured: servers, each started as a process of its own, and one guest with a device
 * of each; or, without /dev/kvm, this process in the guest's place.
 */
#ifndef BENCH_RIG_H
#define BENCH_RIG_H

#include <stdbool.h>
#include <sys/types.h>

#include "clock.h"
#include "fastpath-client.h"
#include "flood.h"
#include "gather.h"
#include "job.h"
#include "machine.h"
#include "payload.h"
#include "usage.h"
#include "vfio_pci.h"

/* A server that sleeps when it has nothing to do, and one that looks for work for a while. */
enum rig_side {
	RIG_ASLEEP,
	RIG_AWAKE,
	RIG_NR_SIDES
};

/* How long the server and client of RIG_AWAKE look for work before they sleep. */
#define RIG_SPIN_US 1000

struct rig_options {
	int cpu_guest;
	int cpu_server;
	const char *connect; /* a server's socket instead of one of our own; NULL: start ours */
	bool no_kvm;	     /* as if there was no /dev/kvm */
	const struct flood_kind *flood; /* what a second device of each server gets; NULL: none */
};

struct rig_server {
	pid_t pid;    /* 0: not there */
	bool is_ours; /* to be ended with the rig */
	bool is_testdev;
	struct fpc *client;	 /* the device's when there is one */
	struct vfio_pci *device; /* NULL without a guest */
	struct flood *flood;	 /* NULL: none */
	struct fpc_io_fds
		io_fds[VFIO_PCI_NR_BARS]; /* without a guest: what the server handed out */
};

/* The page that the benchmark answers itself. */
enum rig_floor {
	RIG_FLOOR_EXIT = 0x000,	      /* answered in the client */
	RIG_FLOOR_UNLISTENED = 0x100, /* an ioeventfd that nobody listens to */
	RIG_FLOOR_READER = 0x200,     /* an ioeventfd with a bare blocking reader */
	RIG_FLOOR_GATHER = 0x300,     /* no floor: what is_gathered, 0x100 for each side */
};

struct rig_reader;

struct rig {
	struct rig_options options;
	struct rig_server servers[RIG_NR_SIDES];
	struct machine *machine; /* NULL: measured from the host */
	struct payload *payload;
	struct job *job;    /* shared with guest and devices */
	uint64_t job_iova;  /* the guest address of the same */
	int host_memory_fd; /* without a guest: what the job is in */
	uint64_t floor_base;
	struct iofd_installed *floor_fds;
	struct gather gathers[RIG_NR_SIDES];
	int unlistened_fd;
	int reader_fd;
	struct rig_reader *reader;
	struct clock clock;
	struct usage_source *usage;
};

/* What takes an access. */
struct rig_target {
	bool is_floor;	  /* `offset` is an enum rig_floor; else of `bar` of a server's device */
	bool by_fd;	  /* through an fd that the server handed out */
	bool is_gathered; /* GATHER_WRITES of them are one message */
	enum rig_side side;
	unsigned int bar;
	uint64_t offset;
};

/* *out is to be given to rig_close(). -errno, said to the log. No /dev/kvm is not an error. */
int rig_open(const struct rig_options *options, struct rig **out);

void rig_close(struct rig *rig);

/* Does *rig->job at the target; fills in its address. 0 or -errno, said to the log. */
int rig_run(struct rig *rig, const struct rig_target *target);

/* Whether the store of `len` bytes goes through an fd of the server's. */
bool rig_has_fd(const struct rig *rig, const struct rig_target *target, uint32_t len,
		uint64_t value);

/*
 * With a guest: whether an ioregionfd takes the access, in KVM or by stand-in; whether something of
 * the target's BAR is the guest's memory; whether its messages wait for an answer.
 */
bool rig_has_span(const struct rig *rig, const struct rig_target *target, uint32_t len);
bool rig_is_mapped(const struct rig *rig, const struct rig_target *target);
void rig_set_posted(struct rig *rig, enum rig_side side, bool posted);

/* The size of the target's BAR; 0 when the device has none such. */
uint64_t rig_bar_bytes(const struct rig *rig, const struct rig_target *target);

/* Makes stamps of the side's testdev go to the job, and count from 0. */
int rig_stamp(struct rig *rig, enum rig_side side);

#endif
