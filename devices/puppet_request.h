/* SPDX-License-Identifier: BSD-3-Clause */
/* puppet_request: what can be asked for by the control socket. docs/puppet.md has the requests. */
#ifndef FASTPATH_PUPPET_REQUEST_H
#define FASTPATH_PUPPET_REQUEST_H

#include <stddef.h>

#include "fastpath.h"

struct puppet_client;

/* Does what one line says; the client gets one reply, now or later. */
void puppet_request(struct fp_device *dev, struct puppet_client *client, const char *line,
		    size_t len);

#endif
