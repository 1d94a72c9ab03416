/* SPDX-License-Identifier: BSD-3-Clause */
#include "kvm_stats.h"

#include <errno.h>
#include <linux/kvm.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "cleanup.h"

/* More than any kernel has; what is beyond these was not understood. */
#define MAX_COUNTERS 4096u
#define MAX_NAME 1024u

struct kvm_stats {
	int fd;
	struct kvm_stats_header hdr;
	size_t stride;	/* of a descriptor with its name, bytes */
	uint8_t *descs; /* hdr.num_desc of them */
};

static int read_exactly(int fd, void *data, size_t len, off_t offset)
{
	ssize_t n = pread(fd, data, len, offset);

	if (n < 0)
		return -errno;
	return (size_t)n == len ? 0 : -EPROTO;
}

static int read_descs(struct kvm_stats *stats)
{
	int ret = read_exactly(stats->fd, &stats->hdr, sizeof(stats->hdr), 0);

	if (ret)
		return ret;
	if (stats->hdr.num_desc > MAX_COUNTERS || stats->hdr.name_size > MAX_NAME)
		return -EPROTO;
	stats->stride = sizeof(struct kvm_stats_desc) + stats->hdr.name_size;
	stats->descs = calloc(stats->hdr.num_desc, stats->stride);
	if (!stats->descs)
		return -ENOMEM;
	return read_exactly(stats->fd, stats->descs, stats->hdr.num_desc * stats->stride,
			    stats->hdr.desc_offset);
}

int kvm_stats_open(int fd, struct kvm_stats **out)
{
	struct kvm_stats *stats = calloc(1, sizeof(*stats));
	int ret;

	if (!stats)
		return -ENOMEM;
	stats->fd = ioctl(fd, KVM_GET_STATS_FD, NULL);
	if (stats->fd < 0)
		ret = errno == ENOTTY || errno == EINVAL ? -ENOTSUP : -errno;
	else
		ret = read_descs(stats);
	if (ret) {
		kvm_stats_close(stats);
		return ret;
	}
	*out = stats;
	return 0;
}

void kvm_stats_close(struct kvm_stats *stats)
{
	if (!stats)
		return;
	cleanup_close(&stats->fd);
	free(stats->descs);
	free(stats);
}

int kvm_stats_read(const struct kvm_stats *stats, const char *name, uint64_t *value)
{
	for (uint32_t i = 0; i < stats->hdr.num_desc; i++) {
		struct kvm_stats_desc desc;
		const char *desc_name =
			(const char *)stats->descs + i * stats->stride + sizeof(desc);

		memcpy(&desc, stats->descs + i * stats->stride, sizeof(desc));
		if (!strncmp(desc_name, name, stats->hdr.name_size))
			return read_exactly(stats->fd, value, sizeof(*value),
					    (off_t)stats->hdr.data_offset + desc.offset);
	}
	return -ENOENT;
}
