/* SPDX-License-Identifier: BSD-3-Clause */
/* virtqueue, the split ring: virtio 1.2, 2.7. */
#include <linux/virtio_config.h>
#include <linux/virtio_ring.h>

#include "virtio.h"
#include "virtqueue.h"

/* Where things are in the driver's area, the available ring, and in ours, the used ring. */
#define AVAIL_INDEX 2u
#define AVAIL_RING 4u
#define USED_INDEX 2u
#define USED_RING 4u
#define USED_BYTES 8u /* of an element */

static uint64_t used_event(const struct virtqueue *vq)
{
	return vq->driver + AVAIL_RING + 2ull * vq->size;
}

static uint64_t avail_event(const struct virtqueue *vq)
{
	return vq->device + USED_RING + (uint64_t)USED_BYTES * vq->size;
}

static uint16_t raw_u16(const struct virtqueue *vq)
{
	uint16_t value;

	memcpy(&value, vq->raw, sizeof(value));
	return value;
}

static const char *check(const struct virtqueue *vq)
{
	if (!vq->size || vq->size & (vq->size - 1))
		return "a split queue's size is not a power of two";
	if (vq->desc % 16 || vq->driver % 2 || vq->device % 4)
		return "an area of a split queue is not aligned";
	return NULL;
}

/* ---- what is available ---- */

static step_fn look, found_desc;

static void read_desc(struct virtqueue *vq)
{
	steps_read(&vq->in, vq->table + vq->at * sizeof(struct vring_desc), vq->raw,
		   sizeof(struct vring_desc), found_desc);
}

/* Where the chain goes on, or false: the end, or nowhere. */
static bool follow(struct virtqueue *vq)
{
	bool is_table = vq->found.flags & VRING_DESC_F_INDIRECT;

	if (!is_table && !(vq->found.flags & VRING_DESC_F_NEXT))
		return false;
	if (!is_table)
		vq->at = vq->found.next;
	if (vq->at < vq->table_size)
		read_desc(vq);
	else
		virtqueue_fail(vq, "a descriptor beyond the table");
	return true;
}

static void found_desc(struct steps *in)
{
	struct virtqueue *vq = virtqueue_of_in(in);
	struct vring_desc desc;

	memcpy(&desc, vq->raw, sizeof(desc));
	vq->found = (struct virtqueue_desc){ desc.addr, desc.len, desc.flags, desc.next };
	if (!virtqueue_add(vq) || follow(vq))
		return;
	vq->next_avail++;
	steps_then(in, look);
	virtqueue_deliver(vq);
}

static void found_head(struct steps *in)
{
	struct virtqueue *vq = virtqueue_of_in(in);
	uint16_t head = raw_u16(vq);

	if (head >= vq->size) {
		virtqueue_fail(vq, "the head of a chain beyond the table");
	} else if (virtqueue_begin(vq)) {
		vq->element->id = head;
		vq->at = head;
		read_desc(vq);
	}
}

static void read_index(struct steps *in);

static void arm(struct virtqueue *vq)
{
	vq->armed = true;
	memcpy(vq->raw, &vq->next_avail, sizeof(vq->next_avail));
	steps_write(&vq->in, avail_event(vq), vq->raw, sizeof(vq->next_avail), read_index);
}

static void found_index(struct steps *in)
{
	struct virtqueue *vq = virtqueue_of_in(in);

	vq->seen_avail = raw_u16(vq);
	/* What the index says is available was written before it. */
	__atomic_thread_fence(__ATOMIC_ACQUIRE);
	if ((uint16_t)(vq->seen_avail - vq->next_avail) > vq->size)
		virtqueue_fail(vq, "the available index is too far ahead");
	else if (vq->seen_avail != vq->next_avail)
		steps_then(in, look);
	else if (virtio_has(vq->virtio, VIRTIO_RING_F_EVENT_IDX) && !vq->armed)
		arm(vq);
}

static void read_index(struct steps *in)
{
	struct virtqueue *vq = virtqueue_of_in(in);

	/* After we have said up to where we have looked: else both would wait for each other. */
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	steps_read(in, vq->driver + AVAIL_INDEX, vq->raw, sizeof(uint16_t), found_index);
}

static void look(struct steps *in)
{
	struct virtqueue *vq = virtqueue_of_in(in);

	if (!virtqueue_may_take(vq))
		return;
	if (vq->seen_avail == vq->next_avail)
		read_index(in);
	else
		steps_read(in, vq->driver + AVAIL_RING + 2ull * (vq->next_avail % vq->size),
			   vq->raw, sizeof(uint16_t), found_head);
}

/* ---- what is used ---- */

static step_fn publish;

static void found_event(struct steps *out)
{
	struct virtqueue *vq = virtqueue_of_out(out);
	uint16_t told;

	memcpy(&told, vq->reply, sizeof(told));
	if (virtio_has(vq->virtio, VIRTIO_RING_F_EVENT_IDX) ?
		    virtqueue_need_event(told, vq->next_used, vq->old_used) :
		    !(told & VRING_AVAIL_F_NO_INTERRUPT))
		virtqueue_interrupt(vq);
	steps_then(out, publish);
}

static void wrote_index(struct steps *out)
{
	struct virtqueue *vq = virtqueue_of_out(out);
	bool by_event = virtio_has(vq->virtio, VIRTIO_RING_F_EVENT_IDX);

	/* The driver writes what it wants and then looks for what is used: one of us sees the other. */
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	steps_read(out, by_event ? used_event(vq) : vq->driver, vq->reply, sizeof(uint16_t),
		   found_event);
}

static void put_used(struct steps *out)
{
	struct virtqueue *vq = virtqueue_of_out(out);
	struct virtio_element *element = virtqueue_take_done(vq);
	struct vring_used_elem used;

	if (!element) {
		/* They are there before the index says so. */
		__atomic_thread_fence(__ATOMIC_RELEASE);
		memcpy(vq->reply, &vq->next_used, sizeof(vq->next_used));
		steps_write(out, vq->device + USED_INDEX, vq->reply, sizeof(uint16_t), wrote_index);
		return;
	}
	used = (struct vring_used_elem){ .id = element->id, .len = element->written };
	virtqueue_forget(vq, element);
	memcpy(vq->reply, &used, sizeof(used));
	steps_write(out,
		    vq->device + USED_RING + (uint64_t)USED_BYTES * (vq->next_used++ % vq->size),
		    vq->reply, sizeof(used), put_used);
}

static void publish(struct steps *out)
{
	struct virtqueue *vq = virtqueue_of_out(out);

	vq->old_used = vq->next_used;
	if (vq->done)
		put_used(out);
}

static void untake(struct virtqueue *vq, const struct virtio_element *element)
{
	(void)element;
	vq->next_avail--;
}

const struct virtqueue_format virtqueue_split = {
	.check = check,
	.look = look,
	.publish = publish,
	.untake = untake,
};
