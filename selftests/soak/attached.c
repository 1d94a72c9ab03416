/* SPDX-License-Identifier: BSD-3-Clause */
#include "attached.h"

#include <string.h>
#include <sys/mman.h>

#include "soak.h"

const struct fpc_area attached_areas[NR_AREAS] = {
	{ TESTDEV_AREA_A, TESTDEV_AREA_A_BYTES },
	{ TESTDEV_AREA_B, TESTDEV_AREA_B_BYTES },
};

static void must(int ret, const char *what)
{
	if (ret)
		soak_fail("%s: %s", what, strerror(-ret));
}

static void sort_fd(struct attached *attached, const struct fpc_io_fd *entry)
{
	unsigned int span = entry->offset >= TESTDEV_POSTED;

	if (entry->type == FPC_IO_FD_IOREGIONFD) {
		attached->spans[span] = (struct standin_span){
			.user_data = entry->user_data,
			.posted = span,
		};
		must(standin_open(entry->fd, (struct fpc_wait){ 0 }, 30000,
				  &attached->standins[span]),
		     "a stand-in");
		return;
	}
	for (unsigned int i = 0; i < TESTDEV_NR_DOORBELLS; i++) {
		const struct fp_doorbell *bell = &testdev_doorbells[i];

		if (entry->offset == bell->offset && entry->size == bell->width &&
		    !(entry->flags & FPC_IOEVENTFD_DATAMATCH) == !bell->nr_values &&
		    (!bell->nr_values || entry->datamatch == bell->values[0]))
			attached->bells[i] = entry->fd;
	}
}

static void take_fds(struct attached *attached)
{
	memset(attached->bells, -1, sizeof(attached->bells));
	must(fpc_region_io_fds(attached->client, FP_BAR2, &attached->fds), "GET_REGION_IO_FDS");
	for (uint32_t i = 0; i < attached->fds.nr_entries; i++)
		sort_fd(attached, &attached->fds.entries[i]);
	for (unsigned int i = 0; i < TESTDEV_NR_DOORBELLS; i++)
		if (attached->bells[i] < 0)
			soak_fail("doorbell %u has no eventfd", i);
	for (unsigned int i = 0; i < TESTDEV_NR_SPANS; i++)
		if (!attached->standins[i])
			soak_fail("span %u has no ioregionfd", i);
}

void attach(struct attached *attached, const struct server *server, unsigned int device)
{
	*attached = (struct attached){ .client = server_connect(server, device) };
	take_fds(attached);
	must(fpc_region_open(attached->client, FP_BAR3, &attached->shared), "BAR3");
	for (unsigned int i = 0; i < NR_AREAS; i++)
		must(fpc_mapping_open(&attached->shared, attached_areas[i].offset,
				      attached_areas[i].size, PROT_READ | PROT_WRITE,
				      &attached->areas[i]),
		     "an area");
	must(fpc_irqs_open(attached->client, FP_MSIX, 0, TESTDEV_VECTORS, attached->vectors),
	     "MSI-X");
}

void detach(struct attached *attached)
{
	fpc_irqs_close(attached->client, FP_MSIX, 0, TESTDEV_VECTORS, attached->vectors);
	for (unsigned int i = 0; i < NR_AREAS; i++)
		fpc_mapping_close(attached->areas[i]);
	fpc_region_close(&attached->shared);
	for (unsigned int i = 0; i < TESTDEV_NR_SPANS; i++)
		standin_close(attached->standins[i]);
	fpc_io_fds_free(&attached->fds);
	fpc_close(attached->client);
	*attached = (struct attached){ 0 };
}
