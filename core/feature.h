/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * feature: DEVICE_FEATURE, by a table of features, and the two commands that move migration data.
 */
#ifndef FASTPATH_FEATURE_H
#define FASTPATH_FEATURE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "device.h"

/* One such command; its body is at least as long as the fixed part, 8 bytes. */
struct feature_call {
	struct fp_device *dev;
	const uint8_t *body;
	size_t len;
	uint64_t max_data;  /* bytes of data that a reply may bring: what both ends take */
	struct refusal why; /* with an error */
};

/* How many bytes the reply may need; a bad command, or a refused one, needs no more than 8. */
size_t feature_room(struct feature_call *call);
size_t feature_mig_read_room(struct feature_call *call);

/* Whether it is MIG_DEVICE_STATE, to be set. */
bool feature_sets_state(struct feature_call *call);

/*
 * Answers the command: the length of the reply, which is zeroed, bytes. A reply that would be
 * longer than argsz is 8 bytes, its argsz says what is needed, and nothing has been taken.
 *   -EINVAL   a field that is wrong, or a state or time when this can't be done
 *   -ENOTSUP  no such feature, or the class has not got it
 *   another -errno of what the feature does
 */
ssize_t feature_run(struct feature_call *call, void *reply);
ssize_t feature_mig_read(struct feature_call *call, void *reply);
ssize_t feature_mig_write(struct feature_call *call);

#endif
