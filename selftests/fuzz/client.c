/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * fuzz target client: the client library, and a server that answers anything.
 *
 * The input is a list of steps; corpus/client/names has their layout. Some are calls of the client,
 * and the ones behind a call are what the server says to it. Where it says nothing, it hangs up.
 * All that is one thread: the ring's turns, in which the client waits, are where the server gets its
 * turn (by the linker's --wrap).
 */
#include "fastpath-client.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "cleanup.h"
#include "fuzz.h"
#include "wire.h"

#define MAX_STEPS 128
#define MAX_FDS 20u
#define MAX_MAPPED 65536
#define PATIENCE_NS 1000000 /* until the end of a connection is seen */

struct scene {
	struct fpc *client;
	int server; /* its end; -1: closed */
	int twin;   /* of the twin socket; -1: none */
	int twin_theirs;
	struct fuzz_input *input;
	bool has_spoken;      /* since it was asked */
	uint16_t asked;	      /* number of what the client asked last */
	uint8_t heard[65536]; /* of a message that is not whole yet */
	size_t heard_len;
	int fds[MAX_FDS]; /* to go with what is sent next; borrowed */
	unsigned int nr_fds;
	uint8_t memory[4096];
	bool submits; /* the callback for guest memory does */
};

/* ---- the server ---- */

static void server_send(struct scene *scene, int fd, const void *bytes, size_t len)
{
	uint8_t control[CMSG_SPACE(sizeof(int) * MAX_FDS)] = { 0 };
	struct iovec iov = { (void *)bytes, len };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };
	struct cmsghdr *cmsg;

	if (scene->nr_fds) {
		msg.msg_control = control;
		msg.msg_controllen = CMSG_SPACE(sizeof(int) * scene->nr_fds);
		cmsg = CMSG_FIRSTHDR(&msg);
		cmsg->cmsg_level = SOL_SOCKET;
		cmsg->cmsg_type = SCM_RIGHTS;
		cmsg->cmsg_len = CMSG_LEN(sizeof(int) * scene->nr_fds);
		memcpy(CMSG_DATA(cmsg), scene->fds, sizeof(int) * scene->nr_fds);
	}
	scene->nr_fds = 0;
	if (fd >= 0 && len && sendmsg(fd, &msg, MSG_DONTWAIT | MSG_NOSIGNAL) > 0)
		scene->has_spoken = true;
}

static void send_message(struct scene *scene, int fd, struct wire_header hdr,
			 struct fuzz_input body, size_t zeros)
{
	size_t len = sizeof(hdr) + body.left + zeros;
	CLEANUP_FREE uint8_t *whole = calloc(1, len);

	fuzz_check(whole, "there is memory");
	hdr.msg_size = (uint32_t)len;
	memcpy(whole, &hdr, sizeof(hdr));
	if (body.left)
		memcpy(whole + sizeof(hdr), body.at, body.left);
	server_send(scene, fd, whole, len);
}

static void do_reply(struct scene *scene, struct fuzz_input *input)
{
	struct wire_header hdr = { .cmd = fuzz_u8(input), .flags = WIRE_TYPE_REPLY };

	hdr.msg_id = scene->asked;
	send_message(scene, scene->server, hdr, fuzz_bytes(input), 0);
}

static void do_big_reply(struct scene *scene, struct fuzz_input *input)
{
	struct wire_header hdr = { .cmd = fuzz_u8(input), .flags = WIRE_TYPE_REPLY };
	size_t zeros = fuzz_u8(input) * 512u;

	hdr.msg_id = scene->asked;
	send_message(scene, scene->server, hdr, fuzz_bytes(input), zeros);
}

/* A good one to VERSION. */
static void do_version(struct scene *scene, struct fuzz_input *input)
{
	static const char *const json[] = {
		"{\"capabilities\":{\"max_msg_fds\":16,\"write_multiple\":true}}",
		"{\"capabilities\":{\"max_msg_fds\":2,\"max_data_xfer_size\":16}}",
		"{\"capabilities\":{\"max_msg_fds\":0,\"max_dma_maps\":1}}",
		"{\"capabilities\":{\"twin_socket\":{\"supported\":true,\"fd_index\":0}}}",
	};
	unsigned int which = fuzz_u8(input) % 4;
	struct wire_header hdr = { .cmd = WIRE_VERSION, .flags = WIRE_TYPE_REPLY };
	uint8_t body[128] = { 0, 0, WIRE_MINOR, 0 };

	memcpy(body + 4, json[which], strlen(json[which]) + 1);
	if (which == 3 && scene->twin_theirs >= 0)
		scene->fds[scene->nr_fds++] = scene->twin_theirs;
	hdr.msg_id = scene->asked;
	send_message(scene, scene->server, hdr,
		     (struct fuzz_input){ body, 4 + strlen(json[which]) + 1 }, 0);
}

static void do_error(struct scene *scene, struct fuzz_input *input)
{
	struct wire_header hdr = {
		.cmd = fuzz_u8(input),
		.flags = WIRE_TYPE_REPLY | WIRE_ERROR,
	};

	hdr.error_no = fuzz_u32(input);
	hdr.msg_id = scene->asked;
	send_message(scene, scene->server, hdr, (struct fuzz_input){ 0 }, 0);
}

/* A command, by one socket or the other. */
static void do_ask(struct scene *scene, struct fuzz_input *input)
{
	struct wire_header hdr = { .cmd = fuzz_u8(input) };
	bool by_twin;

	hdr.msg_id = fuzz_u8(input);
	hdr.flags = fuzz_u8(input);
	by_twin = hdr.flags & 0x80 && scene->twin >= 0;
	hdr.flags &= WIRE_NO_REPLY | WIRE_TYPE_MASK;
	send_message(scene, by_twin ? scene->twin : scene->server, hdr, fuzz_bytes(input), 0);
}

static void do_bytes(struct scene *scene, struct fuzz_input *input)
{
	bool by_twin = fuzz_u8(input) & 1;
	struct fuzz_input bytes = fuzz_bytes(input);

	server_send(scene, by_twin ? scene->twin : scene->server, bytes.at, bytes.left);
}

static void do_fd(struct scene *scene, struct fuzz_input *input)
{
	int fd = fuzz_fd(fuzz_u8(input));

	if (scene->nr_fds < MAX_FDS - 1)
		scene->fds[scene->nr_fds++] = fd;
}

static void do_number(struct scene *scene, struct fuzz_input *input)
{
	scene->asked = (uint16_t)(scene->asked + (int8_t)fuzz_u8(input));
}

static void hang_up(struct scene *scene)
{
	cleanup_close(&scene->server);
	cleanup_close(&scene->twin);
	cleanup_close(&scene->twin_theirs);
	scene->server = scene->twin = scene->twin_theirs = -1;
	scene->heard_len = 0;
	scene->nr_fds = 0;
}

static void do_hang_up(struct scene *scene, struct fuzz_input *input)
{
	(void)input;
	hang_up(scene);
}

/* ---- calls ---- */

static void call_info(struct scene *scene, struct fuzz_input *input)
{
	struct fpc_device_info info;
	struct fpc_irq_info irq_info;
	struct fpc_region_info region_info;
	uint8_t which = fuzz_u8(input);
	int fd = -1;

	switch (which % 4) {
	case 0:
		fpc_device_info(scene->client, &info);
		break;
	case 1:
		fpc_irq_info(scene->client, which / 4, &irq_info);
		break;
	case 2:
		fpc_region_info(scene->client, which / 4, &region_info, &fd);
		cleanup_close(&fd);
		break;
	default:
		fpc_region_info(scene->client, which / 4, &region_info, NULL);
		break;
	}
}

static void check_region(const struct fpc_region *region)
{
	for (uint32_t i = 0; i < region->nr_areas; i++)
		fuzz_check(region->areas[i].offset <= region->size &&
				   region->areas[i].size <= region->size - region->areas[i].offset,
			   "an area lies within its region");
	fuzz_check(region->nr_caps <= FPC_MAX_REGION_CAPS, "there are not too many capabilities");
}

static void call_region(struct scene *scene, struct fuzz_input *input)
{
	uint8_t index = fuzz_u8(input);
	uint64_t offset = (uint64_t)fuzz_u16(input) << 4;
	uint64_t size = (uint64_t)fuzz_u16(input) << 4;
	struct fpc_region region;
	void *at;

	if (fpc_region_open(scene->client, index, &region))
		return;
	check_region(&region);
	if (!fpc_region_map(&region, offset, size, PROT_READ, &at))
		munmap(at, size);
	if (region.nr_areas && region.areas[0].size <= MAX_MAPPED &&
	    !fpc_region_map(&region, region.areas[0].offset, region.areas[0].size,
			    PROT_READ | PROT_WRITE, &at))
		munmap(at, region.areas[0].size);
	fpc_region_close(&region);
}

static void call_io_fds(struct scene *scene, struct fuzz_input *input)
{
	struct fpc_io_fds set;

	if (fpc_region_io_fds(scene->client, fuzz_u8(input), &set))
		return;
	for (uint32_t i = 0; i < set.nr_entries; i++)
		fuzz_check(set.entries[i].fd == -1 ||
				   (set.entries[i].fd_index < set.nr_fds &&
				    set.fds[set.entries[i].fd_index] == set.entries[i].fd),
			   "an entry's fd is one of the set's");
	fpc_io_fds_free(&set);
}

static void call_access(struct scene *scene, struct fuzz_input *input)
{
	uint8_t how = fuzz_u8(input);
	uint32_t region = fuzz_u8(input);
	uint64_t offset = fuzz_u16(input);
	uint32_t count = fuzz_u16(input) % 1024u;
	CLEANUP_FREE uint8_t *data = calloc(1, count + 1u);

	fuzz_check(data, "there is memory");
	if (how % 3 == 0)
		fpc_region_read(scene->client, region, offset, data, count);
	else if (how % 3 == 1)
		fpc_region_write(scene->client, region, offset, data, count);
	else
		fpc_region_post(scene->client, region, offset, data, count);
}

static void call_multi(struct scene *scene, struct fuzz_input *input)
{
	struct fpc_write writes[8] = { 0 };
	size_t nr = fuzz_u8(input) % 9;
	size_t done = 0;
	int ret;

	for (size_t i = 0; i < nr; i++)
		writes[i] = (struct fpc_write){ .offset = i, .count = fuzz_u8(input) % 10u };
	ret = fpc_region_write_multi(scene->client, writes, nr, &done);
	fuzz_check(done <= nr && (ret || done == nr), "no more are done than were asked for");
}

static void call_map(struct scene *scene, struct fuzz_input *input)
{
	uint8_t how = fuzz_u8(input);
	uint64_t address = (uint64_t)fuzz_u8(input) << 12;

	switch (how % 16 % 5) {
	case 0:
		fpc_dma_map_memory(scene->client, scene->memory, address, sizeof(scene->memory),
				   how >> 4);
		break;
	case 1:
		fpc_dma_map(scene->client, fuzz_fd(4), 0, address, 4096, how >> 4);
		break;
	case 2:
		fpc_dma_map(scene->client, -1, 0, address, 4096, how >> 4);
		break;
	case 3:
		fpc_dma_unmap(scene->client, address, 4096);
		break;
	default:
		fpc_dma_unmap_all(scene->client);
		break;
	}
}

static void call_irqs(struct scene *scene, struct fuzz_input *input)
{
	uint8_t index = fuzz_u8(input);
	uint32_t start = fuzz_u8(input);
	uint32_t count = fuzz_u8(input) % 20;
	static const uint8_t bools[20];
	int fds[20];

	switch (index >> 6) {
	case 0:
		if (!fpc_irqs_open(scene->client, index, start, count, fds))
			fpc_irqs_close(scene->client, index, start, count, fds);
		break;
	case 1:
		fpc_set_irqs(scene->client, FPC_IRQ_DATA_BOOL | FPC_IRQ_ACTION_TRIGGER, index & 7,
			     start, count, bools);
		break;
	case 2:
		for (uint32_t i = 0; i < count; i++)
			fds[i] = fuzz_fd(0);
		fpc_set_irqs(scene->client, FPC_IRQ_DATA_EVENTFD | FPC_IRQ_ACTION_TRIGGER,
			     index & 7, start, count, fds);
		break;
	default:
		fpc_set_irqs(scene->client, FPC_IRQ_DATA_NONE | FPC_IRQ_ACTION_TRIGGER, index & 7,
			     0, 0, NULL);
		break;
	}
}

static void call_log_report(struct scene *scene, struct fuzz_input *input)
{
	uint64_t length = fuzz_u16(input) * 4096ull;
	uint64_t page = 1ull << fuzz_u8(input) % 20;
	size_t bytes = fpc_dma_log_bytes(length, page);
	CLEANUP_FREE uint64_t *bitmap = NULL;

	if (bytes > 1u << 20)
		return;
	bitmap = malloc(bytes + 1);
	fuzz_check(bitmap, "there is memory");
	fpc_dma_log_report(scene->client, 0, length, page, bitmap);
}

static void call_feature(struct scene *scene, struct fuzz_input *input)
{
	uint8_t which = fuzz_u8(input);
	struct fpc_dma_range range = { 0, 4096 };
	uint8_t data[64] = { 0 };
	uint64_t flags;
	uint32_t state;

	switch (which % 9) {
	case 0:
		fpc_feature_probe(scene->client, which / 9, FPC_FEATURE_GET);
		break;
	case 1:
		fpc_migration_flags(scene->client, &flags);
		break;
	case 2:
		if (!fpc_migration_state(scene->client, &state))
			fuzz_check(state <= FPC_MIG_PRE_COPY, "it is a state");
		break;
	case 3:
		fpc_migration_set_state(scene->client, which / 9 % 7);
		break;
	case 4:
		fuzz_check(fpc_migration_read(scene->client, data, sizeof(data)) <=
				   (ssize_t)sizeof(data),
			   "no more is read than there is room for");
		break;
	case 5:
		fpc_migration_write(scene->client, data, sizeof(data));
		break;
	case 6:
		fpc_dma_log_start(scene->client, 4096, &range, 1);
		break;
	case 7:
		fpc_dma_log_stop(scene->client);
		break;
	default:
		call_log_report(scene, input);
		break;
	}
}

static void call_other(struct scene *scene, struct fuzz_input *input)
{
	uint8_t which = fuzz_u8(input);
	uint8_t reply[32];

	if (which & 1)
		fpc_reset(scene->client);
	else
		fpc_call(scene->client, which, "body", 4, NULL, 0, reply, which % sizeof(reply));
}

static void submitted(void *opaque, ssize_t result, const void *body)
{
	struct scene *scene = opaque;
	uint8_t sum = 0;

	for (ssize_t i = 0; body && i < result; i++)
		sum ^= ((const uint8_t *)body)[i];
	scene->submits ^= sum & 1;
	fuzz_check(fpc_reset(scene->client) == -EDEADLK || result < 0,
		   "nobody waits in a callback");
}

static void call_submit(struct scene *scene, struct fuzz_input *input)
{
	uint8_t which = fuzz_u8(input);
	uint8_t count = which / 3;

	if (which % 3 == 0)
		fpc_submit(scene->client, count, "body", 4, NULL, 0, submitted, scene);
	else if (which % 3 == 1)
		fpc_submit_read(scene->client, 0, 0, scene->memory, count, submitted, scene);
	else
		fpc_submit_write(scene->client, 0, 0, scene->memory, count, submitted, scene);
	fpc_turn(scene->client, 0);
}

static void call_turn(struct scene *scene, struct fuzz_input *input)
{
	(void)input;
	fpc_turn(scene->client, 0);
	fuzz_check(fpc_fd(scene->client) >= 0, "there is something to poll");
	fpc_in_flight(scene->client);
	fpc_limits(scene->client);
}

static int reach(void *opaque, bool write, uint64_t address, void *data, uint64_t count)
{
	struct scene *scene = opaque;

	if (scene->submits)
		fpc_submit(scene->client, WIRE_DEVICE_RESET, NULL, 0, NULL, 0, submitted, scene);
	if (write)
		memcpy(scene->memory, data, count < 4096 ? count : 4096);
	else
		memset(data, 0x33, count);
	return address & 0x10 ? -EIO : 0;
}

static void call_set_dma(struct scene *scene, struct fuzz_input *input)
{
	uint8_t which = fuzz_u8(input);

	scene->submits = which & 2;
	fpc_set_dma(scene->client, which & 1 ? reach : NULL, scene);
}

/* ---- connections ---- */

static int connect_server(struct scene *scene)
{
	int pair[2];

	fuzz_check(!socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), "there are sockets");
	scene->server = pair[0];
	return pair[1];
}

static void make_twin(struct scene *scene)
{
	int pair[2];

	fuzz_check(!socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), "there are sockets");
	scene->twin = pair[0];
	scene->twin_theirs = pair[1];
}

static void call_reopen(struct scene *scene, struct fuzz_input *input)
{
	int fd;

	(void)input;
	hang_up(scene);
	fd = connect_server(scene);
	make_twin(scene);
	fpc_reopen(scene->client, fd);
}

typedef void step_fn(struct scene *scene, struct fuzz_input *input);

static step_fn *const server_steps[] = {
	do_reply, do_big_reply, do_version, do_error,	do_ask,
	do_bytes, do_fd,	do_number,  do_hang_up,
};

static step_fn *const calls[] = {
	call_info,    call_region, call_io_fds, call_access, call_multi,   call_map,	call_irqs,
	call_feature, call_other,  call_submit, call_turn,   call_set_dma, call_reopen,
};

#define COUNT(array) (sizeof(array) / sizeof(*(array)))

/* Numbers from here on are calls; the one before ends what is said to one question. */
#define FIRST_CALL 0x20
#define ENOUGH_SAID 0x1f

/* What the server says next. */
static void speak(struct scene *scene)
{
	struct fuzz_input *input = scene->input;

	scene->has_spoken = false;
	for (unsigned int i = 0; input->left && input->at[0] < ENOUGH_SAID && i < MAX_STEPS; i++)
		server_steps[fuzz_u8(input) % COUNT(server_steps)](scene, input);
	if (input->left && input->at[0] == ENOUGH_SAID)
		fuzz_u8(input);
	if (!scene->has_spoken)
		hang_up(scene);
}

/* ---- the server's turn ---- */

/* An answer to what the server asked is as long as it says. */
static void check_answer(const struct wire_header *hdr, const uint8_t *body)
{
	struct wire_dma_access access;
	size_t len = hdr->msg_size - sizeof(*hdr);

	fuzz_check(!(hdr->flags & ~(uint32_t)(WIRE_TYPE_REPLY | WIRE_ERROR)), "a reply is no more");
	if (hdr->flags & WIRE_ERROR) {
		fuzz_check(!len && hdr->error_no, "an error is a bare header with an errno");
		return;
	}
	fuzz_check(len >= sizeof(access), "it repeats the question");
	memcpy(&access, body, sizeof(access));
	fuzz_check(hdr->cmd == WIRE_DMA_WRITE ? len == sizeof(access) :
						len - sizeof(access) == access.count,
		   "it brings what it says");
}

/* Answers the whole messages among what it has heard. */
static void understand(struct scene *scene)
{
	struct wire_header hdr;
	size_t at = 0;

	while (scene->heard_len - at >= sizeof(hdr)) {
		memcpy(&hdr, scene->heard + at, sizeof(hdr));
		fuzz_check(hdr.msg_size >= sizeof(hdr) && hdr.msg_size <= WIRE_MAX_MSG,
			   "a message has a length");
		if (scene->heard_len - at < hdr.msg_size)
			break;
		if ((hdr.flags & WIRE_TYPE_MASK) == WIRE_TYPE_REPLY)
			check_answer(&hdr, scene->heard + at + sizeof(hdr));
		at += hdr.msg_size;
		if ((hdr.flags & WIRE_TYPE_MASK) != WIRE_TYPE_COMMAND || hdr.flags & WIRE_NO_REPLY)
			continue;
		scene->asked = hdr.msg_id;
		speak(scene);
		if (scene->server < 0) /* that was all */
			return;
	}
	scene->heard_len -= at;
	memmove(scene->heard, scene->heard + at, scene->heard_len);
}

static bool hear(struct scene *scene)
{
	uint8_t ignored[4096];
	ssize_t n = 0;

	while (scene->twin >= 0 && recv(scene->twin, ignored, sizeof(ignored), MSG_DONTWAIT) > 0)
		;
	if (scene->server >= 0)
		n = recv(scene->server, scene->heard + scene->heard_len,
			 sizeof(scene->heard) - scene->heard_len, MSG_DONTWAIT);
	if (n <= 0)
		return false;
	scene->heard_len += (size_t)n;
	understand(scene);
	return true;
}

static struct scene *current; /* for the ring's turns */

int __real_ring_turn(struct ring *ring, int64_t timeout_ns);
int __wrap_ring_turn(struct ring *ring, int64_t timeout_ns);

int __wrap_ring_turn(struct ring *ring, int64_t timeout_ns)
{
	int ret = __real_ring_turn(ring, 0);

	if (!current || ret)
		return ret;
	if (!hear(current) && timeout_ns) { /* the client waits, and nothing is to come */
		hang_up(current);
		return __real_ring_turn(ring, PATIENCE_NS);
	}
	return __real_ring_turn(ring, 0);
}

/* ---- an input ---- */

static void play(struct scene *scene, struct fuzz_input *input)
{
	for (unsigned int i = 0; input->left && i < MAX_STEPS; i++) {
		uint8_t step = fuzz_u8(input);

		if (step < FIRST_CALL)
			server_steps[step % COUNT(server_steps)](scene, input);
		else
			calls[(step - FIRST_CALL) % COUNT(calls)](scene, input);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct scene scene;
	struct fuzz_input input = { data, size };
	struct fpc_options options = { 0 };
	int fd;

	fuzz_begin();
	scene = (struct scene){ .input = &input, .server = -1, .twin = -1, .twin_theirs = -1 };
	options.flags = fuzz_u8(&input) & 7;
	fd = connect_server(&scene);
	make_twin(&scene);
	current = &scene;
	if (!fpc_open(fd, &options, &scene.client)) {
		play(&scene, &input);
		fpc_close(scene.client);
	}
	current = NULL;
	hang_up(&scene);
	fuzz_end();
	return 0;
}
