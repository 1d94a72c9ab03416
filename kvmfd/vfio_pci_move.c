/* SPDX-License-Identifier: BSD-3-Clause */
#include "vfio_pci_move.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cleanup.h"
#include "log.h"
#include "vfio_pci_dev.h"

/* Copied between two of the guest's accesses. */
#define PIECE_BYTES (256u << 10)

/* After so many, 1 GiB, a device that runs is not waited for: it changes faster than it is copied. */
#define MAX_ROUNDS 4096u

static int fail(struct vfio_pci_move *move, const char *who, const char *what, int ret)
{
	snprintf(move->why, sizeof(move->why), "%s: %s: %s", who, what, strerror(-ret));
	return ret;
}

static int source_fails(struct vfio_pci_move *move, const char *what, int ret)
{
	return ret ? fail(move, "the old server", what, ret) : 0;
}

static int target_fails(struct vfio_pci_move *move, const char *what, int ret)
{
	return ret ? fail(move, "the new server", what, ret) : 0;
}

static void finish(struct vfio_pci_move *move)
{
	fpc_close(take_ptr(move->to));
	cleanup_close(&move->socket);
	move->socket = -1;
	free(take_ptr(move->address));
	free(take_ptr(move->buffer));
	move->copies = false;
}

/* The old server goes on. What it did not do meanwhile it does now. */
static int give_up(struct vfio_pci_move *move, int error)
{
	struct vfio_pci *dev = move->dev;
	int ret = dev->gone ? 0 : fpc_migration_set_state(dev->client, FPC_MIG_RUNNING);

	finish(move);
	if (ret && !vfio_pci_ends(dev, ret))
		vfio_pci_failed(dev, "its server does not run it any more", ret);
	return error;
}

/* ---- how it begins ---- */

/* The flags of both have FPC_MIGRATION_STOP_COPY; *flags are the source's. */
static int check_flags(struct vfio_pci_move *move, uint64_t *flags)
{
	uint64_t theirs = 0;
	int ret = fpc_migration_flags(move->dev->client, flags);

	if (!ret && !(*flags & FPC_MIGRATION_STOP_COPY))
		ret = -EOPNOTSUPP;
	if (ret)
		return source_fails(move, "it can't migrate the device", ret);
	ret = fpc_migration_flags(move->to, &theirs);
	if (!ret && !(theirs & FPC_MIGRATION_STOP_COPY))
		ret = -EOPNOTSUPP;
	return target_fails(move, "it can't migrate the device", ret);
}

static int connect_target(struct vfio_pci_move *move, const char *address)
{
	struct vfio_pci *dev = move->dev;
	int ret;

	move->address = strdup(address);
	move->buffer = malloc(PIECE_BYTES);
	if (!move->address || !move->buffer)
		return fail(move, "the monitor", "out of memory", -ENOMEM);
	ret = vfio_pci_connect(dev, address, &move->to);
	if (ret)
		return target_fails(move, "no vfio-user server there", ret);
	move->socket = vfio_pci_dup_socket(move->to);
	if (move->socket < 0)
		return target_fails(move, "its socket", move->socket);
	return vfio_pci_match(dev, move->to, move->why);
}

static int set_states(struct vfio_pci_move *move)
{
	uint64_t flags;
	int ret = check_flags(move, &flags);

	if (!ret)
		ret = target_fails(move, "RESUMING",
				   fpc_migration_set_state(move->to, FPC_MIG_RESUMING));
	if (ret || !(flags & FPC_MIGRATION_PRE_COPY))
		return ret;
	ret = fpc_migration_set_state(move->dev->client, FPC_MIG_PRE_COPY);
	move->copies = !ret;
	return source_fails(move, "PRE_COPY", ret);
}

int vfio_pci_move_begin(struct vfio_pci_move *move, struct vfio_pci *dev, const char *address)
{
	int ret;

	*move = (struct vfio_pci_move){ .dev = dev, .socket = -1 };
	if (dev->gone)
		return fail(move, "the old server", "it is gone", -ECONNRESET);
	ret = connect_target(move, address);
	if (!ret)
		ret = set_states(move);
	if (ret)
		finish(move); /* it runs: PRE_COPY is the last that could fail */
	return ret;
}

/* ---- what is copied ---- */

/* One piece: 1 when there may be more, 0 when that was all there is now. */
static int copy_piece(struct vfio_pci_move *move)
{
	ssize_t got = fpc_migration_read(move->dev->client, move->buffer, PIECE_BYTES);
	int ret;

	if (got < 0)
		return source_fails(move, "MIG_DATA_READ", (int)got);
	ret = got ? fpc_migration_write(move->to, move->buffer, (size_t)got) : 0;
	if (ret)
		return target_fails(move, "MIG_DATA_WRITE", ret);
	return got == PIECE_BYTES;
}

static int copy_rest(struct vfio_pci_move *move)
{
	unsigned int pieces = 0;
	int more = 1;

	while (more > 0 && pieces++ < MAX_ROUNDS)
		more = copy_piece(move);
	return more > 0 ? source_fails(move, "its state has no end", -EFBIG) : more;
}

/* ---- the switch ---- */

/*
 * The new server knows all that the old one does before it runs the device: memory, and the eventfds
 * that KVM has, so that no interrupt is lost, whichever of them signals it.
 */
static int prepare_target(struct vfio_pci_move *move)
{
	struct vfio_pci *dev = move->dev;
	int ret = dev->memory_open ? vfio_pci_memory_open(dev, move->to) : 0;

	if (ret)
		return target_fails(move, "DMA_MAP", ret);
	return target_fails(move, "DEVICE_SET_IRQS", vfio_pci_irqs_repeat(dev, move->to));
}

static int stop_and_copy(struct vfio_pci_move *move)
{
	struct fpc *from = move->dev->client;
	int ret = source_fails(move, "STOP_COPY", fpc_migration_set_state(from, FPC_MIG_STOP_COPY));

	if (!ret)
		ret = copy_rest(move);
	if (!ret)
		ret = target_fails(move, "its state is not accepted",
				   fpc_migration_set_state(move->to, FPC_MIG_STOP));
	if (!ret)
		ret = prepare_target(move);
	if (!ret)
		ret = target_fails(move, "RUNNING",
				   fpc_migration_set_state(move->to, FPC_MIG_RUNNING));
	return ret;
}

/* The new server runs it: from here on there is no way back. */
static void commit(struct vfio_pci_move *move)
{
	struct vfio_pci *dev = move->dev;

	/* Else it might take what is meant for the new one. */
	vfio_pci_irqs_silence(dev);
	vfio_pci_bars_leave(dev);
	vfio_pci_take(dev, take_ptr(move->to), take_fd(&move->socket));
	free(dev->moved_to);
	dev->moved_to = take_ptr(move->address);
	dev->options.socket = dev->moved_to;
	vfio_pci_bars_rejoin(dev);
	vfio_pci_irqs_ask(dev);
}

/* The guest's accesses wait: they are answered by this thread. Its doorbells come here, too. */
static int change_over(struct vfio_pci_move *move)
{
	struct vfio_pci *dev = move->dev;
	int ret;

	vfio_pci_bars_hold(dev);
	ret = stop_and_copy(move);
	if (ret) {
		give_up(move, ret);
		vfio_pci_bars_release(dev);
		return ret;
	}
	commit(move);
	finish(move);
	return 0;
}

int vfio_pci_move_step(struct vfio_pci_move *move)
{
	int ret;

	if (move->copies && move->rounds++ < MAX_ROUNDS) {
		ret = copy_piece(move);
		if (ret)
			return ret < 0 ? give_up(move, ret) : ret;
	}
	return change_over(move);
}

void vfio_pci_move_cancel(struct vfio_pci_move *move)
{
	if (move->address)
		give_up(move, 0);
}
