/* SPDX-License-Identifier: BSD-3-Clause */
/* attached: a client of a testdev with all it can be reached by: io fds, mapped areas, interrupts. */
#ifndef FASTPATH_SOAK_ATTACHED_H
#define FASTPATH_SOAK_ATTACHED_H

#include "fastpath-client.h"
#include "server.h"
#include "standin.h"
#include "testdev.h"

#define NR_AREAS 2u

struct attached {
	struct fpc *client;
	struct fpc_io_fds fds;
	int bells[TESTDEV_NR_DOORBELLS]; /* eventfds, of `fds` */
	struct standin *standins[TESTDEV_NR_SPANS];
	struct standin_span spans[TESTDEV_NR_SPANS];
	struct fpc_region shared;
	struct fpc_mapping *areas[NR_AREAS];
	int vectors[TESTDEV_VECTORS];
};

/* Where they are in BAR3, and in a struct model. */
extern const struct fpc_area attached_areas[NR_AREAS];

void attach(struct attached *attached, const struct server *server, unsigned int device);

/* Also when the server is gone. */
void detach(struct attached *attached);

#endif
