/* SPDX-License-Identifier: BSD-3-Clause */
#include "listen.h"

#include "socket.h"

int listen_at(const char *address)
{
	struct address parsed;
	int ret = address_parse(address, ADDRESS_LISTEN, &parsed);

	return ret ? ret : socket_listen_at(&parsed, 0600);
}
