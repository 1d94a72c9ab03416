/* SPDX-License-Identifier: BSD-3-Clause */
/* virtqueue, the packed ring: virtio 1.2, 2.8. */
#include <linux/virtio_config.h>
#include <linux/virtio_ring.h>

#include "virtio.h"
#include "virtqueue.h"

#define AVAIL (1u << VRING_PACKED_DESC_F_AVAIL)
#define USED (1u << VRING_PACKED_DESC_F_USED)

/* Where in a descriptor they are. */
#define DESC_LEN 8u
#define DESC_FLAGS 14u

/* The device's and the driver's event suppression structures. */
struct suppression {
	uint16_t place; /* and the wrap counter at the top */
	uint16_t flags;
};

static uint64_t desc_at(const struct virtqueue *vq, uint16_t place)
{
	return vq->desc + (uint64_t)place * sizeof(struct vring_packed_desc);
}

static const char *check(const struct virtqueue *vq)
{
	if (!vq->size)
		return "a packed queue of size 0";
	if (vq->desc % 16 || vq->driver % 4 || vq->device % 4)
		return "an area of a packed queue is not aligned";
	return NULL;
}

static void advance(const struct virtqueue *vq, uint16_t *place, bool *wrap, uint16_t n)
{
	*place += n;
	if (*place < vq->size)
		return;
	*place -= vq->size;
	*wrap = !*wrap;
}

/* ---- what is available ---- */

static step_fn look, found_desc, found_flags;

/* Whether these flags, at `vq->at` of the ring, say that the driver has made it available. */
static bool is_available(const struct virtqueue *vq, uint16_t flags)
{
	return !!(flags & AVAIL) == vq->avail_wrap && !!(flags & USED) != vq->avail_wrap;
}

static void read_desc(struct virtqueue *vq)
{
	steps_read(&vq->in, vq->table + (uint64_t)vq->at * sizeof(struct vring_packed_desc),
		   vq->raw, sizeof(struct vring_packed_desc), found_desc);
}

/* All of the chain has been read: the ring goes on behind it. */
static void take(struct virtqueue *vq)
{
	advance(vq, &vq->next_avail, &vq->avail_wrap, vq->element->slots);
	steps_then(&vq->in, look);
	virtqueue_deliver(vq);
}

/* In a table descriptors follow each other; the id is that of the ring's. */
static void follow_table(struct virtqueue *vq)
{
	if (vq->found.flags & VRING_DESC_F_INDIRECT ? vq->at < vq->table_size :
						      ++vq->at < vq->table_size)
		read_desc(vq);
	else
		take(vq);
}

static void follow_ring(struct virtqueue *vq)
{
	vq->element->id = vq->found.next;
	vq->element->slots++;
	if (!(vq->found.flags & VRING_DESC_F_NEXT)) {
		take(vq);
	} else if (vq->element->slots == vq->size) {
		virtqueue_fail(vq, "a chain longer than the queue");
	} else {
		vq->at = (vq->at + 1) % vq->size;
		read_desc(vq);
	}
}

static void found_desc(struct steps *in)
{
	struct virtqueue *vq = virtqueue_of_in(in);
	bool was_indirect = vq->is_indirect;
	struct vring_packed_desc desc;

	memcpy(&desc, vq->raw, sizeof(desc));
	vq->found = (struct virtqueue_desc){ desc.addr, desc.len, desc.flags, desc.id };
	/* There is no other flag in a table. */
	if (was_indirect)
		vq->found.flags &= (uint16_t)~VRING_DESC_F_NEXT;
	if (!virtqueue_add(vq))
		return;
	if (!was_indirect && vq->is_indirect) {
		if (vq->element->nr_out + vq->element->nr_in) {
			virtqueue_fail(vq, "an indirect descriptor in a chain of others");
			return;
		}
		vq->element->id = vq->found.next;
		vq->element->slots = 1;
	}
	if (vq->is_indirect)
		follow_table(vq);
	else
		follow_ring(vq);
}

static void arm(struct virtqueue *vq)
{
	struct suppression wanted = {
		.place = (uint16_t)(vq->next_avail | vq->avail_wrap << 15),
		.flags = VRING_PACKED_EVENT_FLAG_DESC,
	};

	vq->armed = true;
	memcpy(vq->raw, &wanted, sizeof(wanted));
	steps_write(&vq->in, vq->device, vq->raw, sizeof(wanted), look);
}

static void found_flags(struct steps *in)
{
	struct virtqueue *vq = virtqueue_of_in(in);
	uint16_t flags;

	memcpy(&flags, vq->raw, sizeof(flags));
	/* What is available was written before the flags that say so. */
	__atomic_thread_fence(__ATOMIC_ACQUIRE);
	if (is_available(vq, flags)) {
		if (!virtqueue_begin(vq))
			return;
		vq->at = vq->next_avail;
		read_desc(vq);
	} else if (virtio_has(vq->virtio, VIRTIO_RING_F_EVENT_IDX) && !vq->armed) {
		arm(vq);
	}
}

static void look(struct steps *in)
{
	struct virtqueue *vq = virtqueue_of_in(in);

	if (!virtqueue_may_take(vq))
		return;
	/* After we have said up to where we have looked: else both would wait for each other. */
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	steps_read(in, desc_at(vq, vq->next_avail) + DESC_FLAGS, vq->raw, sizeof(uint16_t),
		   found_flags);
}

/* ---- what is used ---- */

static step_fn publish, put_used;

static bool is_wanted(const struct virtqueue *vq, struct suppression event)
{
	uint16_t place = event.place & 0x7fff;

	if (event.flags != VRING_PACKED_EVENT_FLAG_DESC)
		return event.flags != VRING_PACKED_EVENT_FLAG_DISABLE;
	if (!virtio_has(vq->virtio, VIRTIO_RING_F_EVENT_IDX) || vq->has_wrapped)
		return true;
	if (event.place >> 15 != vq->used_wrap)
		place = (uint16_t)(place - vq->size);
	return virtqueue_need_event(place, vq->next_used, vq->old_used);
}

static void found_event(struct steps *out)
{
	struct virtqueue *vq = virtqueue_of_out(out);
	struct suppression event;

	memcpy(&event, vq->reply, sizeof(event));
	if (is_wanted(vq, event))
		virtqueue_interrupt(vq);
	steps_then(out, publish);
}

static void wrote_flags(struct steps *out)
{
	struct virtqueue *vq = virtqueue_of_out(out);
	struct virtio_element *element = virtqueue_take_done(vq);
	bool wrap = vq->used_wrap;

	advance(vq, &vq->next_used, &vq->used_wrap, element->slots);
	vq->has_wrapped = vq->has_wrapped || wrap != vq->used_wrap;
	virtqueue_forget(vq, element);
	steps_then(out, put_used);
}

static void wrote_len(struct steps *out)
{
	struct virtqueue *vq = virtqueue_of_out(out);
	uint16_t flags = vq->used_wrap ? AVAIL | USED : 0;

	if (vq->done->written)
		flags |= VRING_DESC_F_WRITE;
	/* The rest of it is there before the flags say so. */
	__atomic_thread_fence(__ATOMIC_RELEASE);
	memcpy(vq->reply, &flags, sizeof(flags));
	steps_write(out, desc_at(vq, vq->next_used) + DESC_FLAGS, vq->reply, sizeof(flags),
		    wrote_flags);
}

static void put_used(struct steps *out)
{
	struct virtqueue *vq = virtqueue_of_out(out);
	struct {
		uint32_t len;
		uint16_t id;
	} __attribute__((packed)) used;

	if (!vq->done) {
		/* As in a split ring: one of us sees what the other has written. */
		__atomic_thread_fence(__ATOMIC_SEQ_CST);
		steps_read(out, vq->driver, vq->reply, sizeof(struct suppression), found_event);
		return;
	}
	used.len = vq->done->written;
	used.id = vq->done->id;
	memcpy(vq->reply, &used, sizeof(used));
	steps_write(out, desc_at(vq, vq->next_used) + DESC_LEN, vq->reply, sizeof(used), wrote_len);
}

static void publish(struct steps *out)
{
	struct virtqueue *vq = virtqueue_of_out(out);

	vq->old_used = vq->next_used;
	vq->has_wrapped = false;
	if (vq->done)
		put_used(out);
}

static void untake(struct virtqueue *vq, const struct virtio_element *element)
{
	if (vq->next_avail < element->slots) {
		vq->next_avail += vq->size;
		vq->avail_wrap = !vq->avail_wrap;
	}
	vq->next_avail -= element->slots;
}

const struct virtqueue_format virtqueue_packed = {
	.check = check,
	.look = look,
	.publish = publish,
	.untake = untake,
};
