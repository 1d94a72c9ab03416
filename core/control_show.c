/* SPDX-License-Identifier: BSD-3-Clause */
/* What a device is and has, at this moment. */
#include <string.h>
#include <sys/socket.h>

#include "control_request.h"
#include "session.h"

static const char *const region_names[FP_NR_REGIONS] = {
	"BAR0", "BAR1", "BAR2", "BAR3", "BAR4", "BAR5", "ROM", "CONFIG", "VGA",
};

const char *const control_irq_names[FP_NR_IRQS] = { "INTx", "MSI", "MSI-X", "ERR", "REQ" };

/* Who it is, and whether it has a client. */
static void put_head(struct json_object *object, const struct control_request *request,
		     const struct served *served)
{
	const struct served_options *options = served_options(served);
	const struct session *session = served_session(served);
	struct ucred peer;

	put_text(object, "name", options->name);
	put_text(object, "class", options->class_->name);
	if (options->socket)
		put_text(object, "socket", options->socket);
	put_number(object, "worker", request->worker);
	put_bool(object, "connected", session != NULL);
	if (session && session_peer(session, &peer)) {
		struct json_object *client = put_object(object, "client");

		put_number(client, "pid", (uint64_t)peer.pid);
		put_number(client, "uid", peer.uid);
	}
}

int control_list(struct control_request *request, struct served *served)
{
	struct json_object *devices;

	if (!json_object_object_get_ex(request->reply, "devices", &devices))
		devices = put_array(request->reply, "devices");
	put_head(append(devices), request, served);
	return 0;
}

static void put_options(struct json_object *object, const struct served_options *options)
{
	struct json_object *all = put_object(object, "options");

	put_text(all, "io-fds-layout",
		 options->io_fds == COMMAND_IO_FDS_SPEC ? "spec" : "deployed");
	for (size_t i = 0; i < options->nr_options; i++)
		put_text(all, options->options[i].key, options->options[i].value);
}

static void put_caps(struct json_object *object, const struct session *session)
{
	const struct caps *caps = session ? session_caps(session) : NULL;
	struct json_object *all;

	if (!caps)
		return;
	all = put_object(object, "capabilities");
	put_number(all, "max_msg_fds", caps->max_msg_fds);
	put_number(all, "max_data_xfer_size", caps->max_data_xfer_size);
	put_number(all, "max_dma_maps", caps->max_dma_maps);
	put_number(all, "pgsizes", caps->pgsizes);
	put_bool(all, "write_multiple", caps->write_multiple);
	put_bool(all, "twin_socket", caps->twin_socket);
}

static void put_regions(struct json_object *object, const struct fp_device *dev)
{
	struct json_object *regions = put_array(object, "regions");

	for (uint32_t i = 0; i < dev->nr_regions; i++) {
		const struct fp_region *region = &dev->regions[i];
		struct json_object *one;

		if (!region->size)
			continue;
		one = append(regions);
		put_number(one, "index", i);
		put_text(one, "name", i < FP_NR_REGIONS ? region_names[i] : "own");
		put_number(one, "size", region->size);
		put_bool(one, "io", region->flags & FP_REGION_IO);
		put_bool(one, "read_only", region->flags & FP_REGION_READ_ONLY);
		put_bool(one, "mmap", region->flags & FP_REGION_MMAP);
		put_number(one, "doorbells", region->nr_doorbells);
		put_bool(one, "eventfds", dev->iofds[i] != NULL);
	}
}

static void put_irqs(struct json_object *object, const struct fp_device *dev)
{
	struct json_object *irqs = put_array(object, "irqs");

	for (unsigned int i = 0; i < FP_NR_IRQS; i++) {
		const struct irq_kind *kind = &dev->irqs[i];
		struct json_object *one;
		uint32_t set_up = 0, masked = 0, pending = 0;

		if (!kind->count)
			continue;
		for (uint32_t n = 0; n < kind->count; n++) {
			set_up += kind->irqs[n].eventfd >= 0;
			masked += kind->irqs[n].masked;
			pending += kind->irqs[n].pending;
		}
		one = append(irqs);
		put_number(one, "index", i);
		put_text(one, "name", control_irq_names[i]);
		put_number(one, "count", kind->count);
		put_number(one, "set_up", set_up);
		put_number(one, "masked", masked);
		put_number(one, "pending", pending);
	}
}

static unsigned int count_deferred(const struct fp_device *dev)
{
	unsigned int nr = 0;

	for (const struct deferred *deferred = dev->deferred; deferred; deferred = deferred->next)
		nr++;
	return nr;
}

static unsigned int count_transfers(const struct fp_device *dev)
{
	unsigned int nr = 0;

	for (const struct transfer *transfer = dev->transfers; transfer; transfer = transfer->next)
		nr++;
	return nr;
}

static void put_state(struct json_object *object, const struct fp_device *dev)
{
	struct json_object *windows = put_object(object, "windows");
	struct json_object *in_flight = put_object(object, "in_flight");

	put_number(windows, "count", dev->dma.nr);
	put_number(windows, "bytes", dma_bytes(&dev->dma));
	put_number(in_flight, "accesses", count_deferred(dev));
	put_number(in_flight, "transfers", count_transfers(dev));
	put_number(in_flight, "files", dev->files.nr);
	put_bool(in_flight, "reset", dev->is_resetting);
	put_number(object, "tracers", dev->traced / OBSERVE_LIVE);
	if (migration_is_offered(dev))
		put_text(object, "migration", wire_state_name(dev->migration.state));
}

int control_show(struct control_request *request, struct served *served)
{
	struct json_object *device = put_object(request->reply, "device");
	const struct fp_device *dev = served_device(served);

	put_head(device, request, served);
	put_text(device, "summary", dev->class_->summary ? dev->class_->summary : "");
	put_options(device, served_options(served));
	put_caps(device, served_session(served));
	put_regions(device, dev);
	put_irqs(device, dev);
	put_state(device, dev);
	return 0;
}
