/* SPDX-License-Identifier: BSD-3-Clause */
/* link_fastpath: by the client that this project has. */
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "link.h"

struct link {
	struct fpc *client;

	/* Of the stream under way. */
	const struct link_access *access;
	unsigned int submitted;
	unsigned int answered;
	unsigned int count;
	int ret;
	uint64_t data; /* what all reads go to */
};

static int link_open(int fd, const struct fpc_wait *wait, struct link **out)
{
	struct fpc_options options = { .wait = *wait };
	struct link *link = calloc(1, sizeof(*link));
	int ret;

	if (!link) {
		close(fd);
		return -ENOMEM;
	}
	ret = fpc_open(fd, &options, &link->client);
	if (ret)
		free(link);
	else
		*out = link;
	return ret;
}

static void link_close(struct link *link)
{
	if (!link)
		return;
	fpc_close(link->client);
	free(link);
}

static int link_read(struct link *link, const struct link_access *access, void *data)
{
	return fpc_region_read(link->client, access->region, access->offset, data, access->size);
}

static int link_write(struct link *link, const struct link_access *access, const void *data)
{
	return fpc_region_write(link->client, access->region, access->offset, data, access->size);
}

/* ---- streams ---- */

static void submit(struct link *link);

/* Every answer makes room for another access. */
static void on_done(void *opaque, ssize_t result, const void *body)
{
	struct link *link = opaque;

	(void)body;
	link->answered++;
	if (result < 0 && !link->ret)
		link->ret = (int)result;
	if (!link->ret && link->submitted < link->count)
		submit(link);
}

static void submit(struct link *link)
{
	const struct link_access *access = link->access;
	unsigned int i = link->submitted++;
	uint64_t value = i;
	int ret = link_is_read(access, i) ?
			  fpc_submit_read(link->client, access->region, access->offset, &link->data,
					  access->size, on_done, link) :
			  fpc_submit_write(link->client, access->region, access->offset, &value,
					   access->size, on_done, link);

	if (ret) {
		link->answered++;
		link->ret = ret;
	}
}

static int post(struct link *link, const struct link_access *access, unsigned int count,
		unsigned int depth)
{
	int ret = 0;

	for (uint64_t i = 0; i < count && !ret; i++) {
		ret = fpc_submit_post(link->client, access->region, access->offset, &i,
				      access->size);
		if (!ret && (i + 1) % depth == 0)
			ret = fpc_turn(link->client, 0);
		if (ret == -EINTR)
			ret = 0;
	}
	return ret ? ret : link_read(link, access, &link->data);
}

static int link_stream(struct link *link, const struct link_access *access, unsigned int count,
		       unsigned int depth)
{
	if (access->posted)
		return post(link, access, count, depth);
	link->access = access;
	link->submitted = link->answered = 0;
	link->count = count;
	link->ret = 0;
	while (link->submitted < count && link->submitted < depth && !link->ret)
		submit(link);
	while (link->answered < link->submitted) {
		int ret = fpc_turn(link->client, -1);

		if (ret && ret != -EINTR)
			return ret;
	}
	return link->ret;
}

const struct link_kind link_fastpath = {
	.name = "fastpath",
	.what = "our own client",
	.open = link_open,
	.close = link_close,
	.read = link_read,
	.write = link_write,
	.stream = link_stream,
};
