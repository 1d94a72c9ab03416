/* SPDX-License-Identifier: BSD-3-Clause */
/* peer_feature: DEVICE_FEATURE and the migration commands, as a peer sends them. */
#ifndef FASTPATH_SELFTESTS_PEER_FEATURE_H
#define FASTPATH_SELFTESTS_PEER_FEATURE_H

#include "peer.h"

#define FEATURE_HEAD sizeof(struct wire_device_feature)

/* DEVICE_FEATURE with `flags`, which hold the index, and `len` bytes of data; the errno. */
int peer_feature(struct peer *peer, uint32_t flags, uint32_t argsz, const void *data, size_t len);

/* The same with an argsz that is large enough. */
int peer_feature_get(struct peer *peer, uint32_t index, const void *data, size_t len);
int peer_feature_set(struct peer *peer, uint32_t index, const void *data, size_t len);

/* SET and GET of MIG_DEVICE_STATE; the errno, and the state, which it has to tell. */
int peer_mig_go(struct peer *peer, uint32_t state);
uint32_t peer_mig_state(struct peer *peer);

/* MIG_DATA_READ of up to `size` bytes, which has to succeed: how many came. */
size_t peer_mig_read(struct peer *peer, void *to, size_t size);

/* All that can be read, in pieces of `piece` bytes, to memory that is the caller's. */
uint8_t *peer_mig_read_all(struct peer *peer, size_t piece, size_t *len);

/* MIG_DATA_WRITE: the errno. */
int peer_mig_write(struct peer *peer, const void *from, size_t size);

/* Takes a device that stands to RESUMING, writes all of it in pieces and goes to STOP: the errno. */
int peer_mig_load(struct peer *peer, const void *from, size_t len, size_t piece);

/* Takes a device that runs or stands to ERROR, by a stream that is none. 0 when it went so. */
int peer_mig_break(struct peer *peer);

/* Resets the device and takes it to `state`; 0 when it is there. */
int peer_mig_put_into(struct peer *peer, uint32_t state);

#endif
