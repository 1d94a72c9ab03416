/* SPDX-License-Identifier: BSD-3-Clause */
#include "virtqueue.h"

#include <errno.h>
#include <linux/virtio_config.h>
#include <linux/virtio_ring.h>
#include <stdlib.h>

#include "virtio.h"

/* So many elements of one queue, then the others of this thread have their turn. */
#define SHARE 256u

/* ---- elements ---- */

static struct virtio_element *element_get(struct virtqueue *vq)
{
	struct virtio_element *element = vq->idle;
	size_t own_bytes = vq->virtio->ops->element_bytes;

	if (element)
		vq->idle = element->next;
	else
		element = calloc(1, sizeof(*element) + own_bytes);
	if (!element)
		return NULL;
	memset(element, 0, offsetof(struct virtio_element, pieces));
	element->vq = vq;
	element->out = element->pieces;
	element->own = element + 1;
	memset(element->own, 0, own_bytes);
	return element;
}

static void element_put(struct virtqueue *vq, struct virtio_element *element)
{
	element->next = vq->idle;
	vq->idle = element;
}

/* Whatever of it was under way is not any more: a reset may have waited for that. */
static void element_end(struct virtio_element *element)
{
	struct virtqueue *vq = element->vq;

	vq->in_flight--;
	vq->slots_in_flight -= element->slots;
	element_put(vq, element);
	virtio_settle(vq->virtio);
}

void virtio_element_fail(struct virtio_element *element, const char *why)
{
	virtqueue_fail(element->vq, why);
	element_end(element);
}

void virtio_element_done(struct virtio_element *element)
{
	struct virtqueue *vq = element->vq;

	if (!virtio_is_live(vq->virtio)) {
		element_end(element);
		return;
	}
	element->next = NULL;
	*vq->done_end = element;
	vq->done_end = &element->next;
	if (!vq->is_held)
		steps_begin(&vq->out, vq->format->publish);
}

void virtqueue_hold(struct virtqueue *vq)
{
	vq->is_held = true;
}

void virtqueue_release(struct virtqueue *vq)
{
	vq->is_held = false;
	if (vq->done)
		steps_begin(&vq->out, vq->format->publish);
}

void virtio_element_return(struct virtio_element *element)
{
	element->vq->format->untake(element->vq, element);
	element_end(element);
}

static void lost(struct steps *steps)
{
	struct virtio_element *element = virtio_element_of(steps);
	const struct virtio_ops *ops = element->vq->virtio->ops;

	if (ops->lost)
		ops->lost(element);
	else
		virtio_element_fail(element, "a buffer is not in memory");
}

static void drop(struct fp_piece **pieces, uint16_t *nr, size_t n)
{
	(*pieces)->iova += n;
	(*pieces)->len -= n;
	if ((*pieces)->len)
		return;
	++*pieces;
	--*nr;
}

static void read_more(struct steps *steps)
{
	struct virtio_element *element = virtio_element_of(steps);
	const struct fp_piece piece = *element->out;
	size_t n = piece.len < element->left ? piece.len : element->left;
	uint8_t *at = element->at;

	drop(&element->out, &element->nr_out, n);
	element->out_bytes -= n;
	element->at += n;
	element->left -= n;
	steps_read(steps, piece.iova, at, n, element->left ? read_more : element->then);
}

static void write_more(struct steps *steps)
{
	struct virtio_element *element = virtio_element_of(steps);
	const struct fp_piece piece = *element->in;
	size_t n = piece.len < element->left ? piece.len : element->left;
	uint8_t *at = element->at;

	drop(&element->in, &element->nr_in, n);
	element->in_bytes -= n;
	element->at += n;
	element->left -= n;
	element->written += (uint32_t)n;
	steps_write(steps, piece.iova, at, n, element->left ? write_more : element->then);
}

void virtio_element_then(struct virtio_element *element, step_fn *step)
{
	element->steps.dev = element->vq->virtio->dev;
	element->steps.failed = lost;
	if (element->steps.runs)
		steps_then(&element->steps, step);
	else
		steps_begin(&element->steps, step);
}

static void begin(struct virtio_element *element, void *at, size_t len, step_fn *first,
		  step_fn *then)
{
	element->at = at;
	element->left = len;
	element->then = then;
	virtio_element_then(element, len ? first : then);
}

void virtio_element_read(struct virtio_element *element, void *to, size_t len, step_fn *next)
{
	begin(element, to, len, read_more, next);
}

void virtio_element_write(struct virtio_element *element, const void *from, size_t len,
			  step_fn *next)
{
	begin(element, (void *)from, len, write_more, next);
}

bool virtio_element_tail(struct virtio_element *element, size_t len, uint64_t *iova)
{
	struct fp_piece *last = element->in + element->nr_in - 1;

	if (!element->nr_in || last->len < len)
		return false;
	last->len -= len;
	element->in_bytes -= len;
	element->nr_in -= !last->len;
	*iova = last->iova + last->len;
	return true;
}

/* ---- taking them from the driver ---- */

void virtqueue_fail(struct virtqueue *vq, const char *why)
{
	virtio_needs_reset(vq->virtio, vq->index, why);
}

static void look_again(struct fp_device *dev, struct fp_timer *timer)
{
	struct virtqueue *vq =
		(struct virtqueue *)((char *)timer - offsetof(struct virtqueue, again));

	(void)dev;
	virtqueue_look(vq);
}

bool virtqueue_may_take(struct virtqueue *vq)
{
	const struct virtio *virtio = vq->virtio;

	if (!vq->enabled || !virtio_is_live(virtio) || virtio->stands ||
	    (virtio->ops->wants && !virtio->ops->wants(vq)))
		return false;
	if (vq->share)
		return true;
	vq->again.expired = look_again;
	fp_timer_start(virtio->dev, &vq->again, 0);
	return false;
}

void virtqueue_look(struct virtqueue *vq)
{
	vq->share = SHARE;
	if (vq->enabled)
		steps_begin(&vq->in, vq->format->look);
}

bool virtqueue_begin(struct virtqueue *vq)
{
	if (!vq->element)
		vq->element = element_get(vq);
	if (!vq->element) {
		virtqueue_fail(vq, "the server is out of memory");
		return false;
	}
	vq->element->nr_out = vq->element->nr_in = 0;
	vq->element->out_bytes = vq->element->in_bytes = 0;
	vq->element->slots = 0;
	vq->is_indirect = false;
	vq->table = vq->desc;
	vq->table_size = vq->size;
	return true;
}

static const char *add_table(struct virtqueue *vq)
{
	const struct virtqueue_desc *found = &vq->found;

	if (!virtio_has(vq->virtio, VIRTIO_RING_F_INDIRECT_DESC))
		return "an indirect descriptor, which was not agreed on";
	if (vq->is_indirect)
		return "an indirect descriptor in a table of such";
	if (found->flags & VRING_DESC_F_NEXT)
		return "an indirect descriptor that has a next one";
	if (!found->len || found->len % sizeof(struct vring_desc))
		return "a table of descriptors of an odd length";
	vq->is_indirect = true;
	vq->table = found->addr;
	vq->table_size = found->len / sizeof(struct vring_desc);
	vq->at = 0;
	return NULL;
}

static const char *add_piece(struct virtqueue *vq)
{
	struct virtio_element *element = vq->element;
	const struct virtqueue_desc *found = &vq->found;
	uint16_t nr = element->nr_out + element->nr_in;

	if (nr == VIRTQUEUE_MAX_PIECES)
		return "a chain of more than 128 descriptors, or a loop";
	if (!found->len)
		return "a buffer of no bytes";
	if (found->addr > UINT64_MAX - found->len)
		return "a buffer that wraps";
	element->pieces[nr] = (struct fp_piece){ .iova = found->addr, .len = found->len };
	if (found->flags & VRING_DESC_F_WRITE) {
		element->nr_in++;
		element->in_bytes += found->len;
	} else if (element->nr_in) {
		return "a buffer to be read behind one to be written";
	} else {
		element->nr_out++;
		element->out_bytes += found->len;
	}
	return NULL;
}

bool virtqueue_add(struct virtqueue *vq)
{
	const char *why = vq->found.flags & VRING_DESC_F_INDIRECT ? add_table(vq) : add_piece(vq);

	if (why)
		virtqueue_fail(vq, why);
	return !why;
}

void virtqueue_deliver(struct virtqueue *vq)
{
	struct virtio_element *element = vq->element;

	element->in = element->pieces + element->nr_out;
	if (vq->in_flight == vq->size || vq->slots_in_flight + element->slots > vq->size) {
		virtqueue_fail(vq, "more is available than the queue holds");
		return;
	}
	vq->element = NULL;
	vq->in_flight++;
	vq->slots_in_flight += element->slots;
	vq->armed = false;
	vq->share--;
	vq->virtio->ops->handle(vq->virtio, element);
}

/* ---- giving them back ---- */

struct virtio_element *virtqueue_take_done(struct virtqueue *vq)
{
	struct virtio_element *element = vq->done;

	if (!element)
		return NULL;
	vq->done = element->next;
	if (!vq->done)
		vq->done_end = &vq->done;
	return element;
}

void virtqueue_forget(struct virtqueue *vq, struct virtio_element *element)
{
	vq->in_flight--;
	vq->slots_in_flight -= element->slots;
	element_put(vq, element);
}

void virtqueue_interrupt(struct virtqueue *vq)
{
	virtio_interrupt(vq->virtio, vq->vector, VIRTIO_ISR_QUEUE);
}

/* ---- life ---- */

static void in_failed(struct steps *steps)
{
	struct virtqueue *vq = virtqueue_of_in(steps);

	virtqueue_fail(vq, "the queue is not in memory");
}

static void in_over(struct steps *steps)
{
	struct virtqueue *vq = virtqueue_of_in(steps);

	if (vq->virtio->ops->looked)
		vq->virtio->ops->looked(vq);
	virtio_settle(vq->virtio);
}

static void drop_done(struct virtqueue *vq)
{
	struct virtio_element *element;

	while ((element = virtqueue_take_done(vq)))
		virtqueue_forget(vq, element);
}

static void out_failed(struct steps *steps)
{
	struct virtqueue *vq = virtqueue_of_out(steps);

	virtqueue_fail(vq, "the queue is not in memory");
	drop_done(vq);
}

static void out_over(struct steps *steps)
{
	virtio_settle(virtqueue_of_out(steps)->virtio);
}

void virtqueue_init(struct virtqueue *vq, struct virtio *virtio, uint16_t index)
{
	vq->virtio = virtio;
	vq->index = index;
	vq->in = (struct steps){ .dev = virtio->dev, .failed = in_failed, .over = in_over };
	vq->out = (struct steps){ .dev = virtio->dev, .failed = out_failed, .over = out_over };
	virtqueue_reset(vq);
}

void virtqueue_reset(struct virtqueue *vq)
{
	fp_timer_stop(&vq->again);
	vq->enabled = false;
	vq->size = VIRTQUEUE_MAX_SIZE;
	vq->vector = VIRTQUEUE_NO_VECTOR;
	vq->desc = vq->driver = vq->device = 0;
	vq->next_avail = vq->next_used = vq->seen_avail = 0;
	vq->avail_wrap = vq->used_wrap = true;
	vq->armed = false;
	vq->is_held = false;
	vq->done_end = &vq->done;
	drop_done(vq);
}

void virtqueue_close(struct virtqueue *vq)
{
	fp_timer_stop(&vq->again);
	drop_done(vq);
	free(vq->element);
	while (vq->idle) {
		struct virtio_element *element = vq->idle;

		vq->idle = element->next;
		free(element);
	}
}

const char *virtqueue_enable(struct virtqueue *vq)
{
	const char *why;

	vq->format =
		virtio_has(vq->virtio, VIRTIO_F_RING_PACKED) ? &virtqueue_packed : &virtqueue_split;
	why = vq->format->check(vq);
	vq->enabled = !why;
	return why;
}

bool virtqueue_is_idle(const struct virtqueue *vq)
{
	return !vq->in_flight && !steps_busy(&vq->in) && !steps_busy(&vq->out);
}
