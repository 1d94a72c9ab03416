/* SPDX-License-Identifier: BSD-3-Clause */
#include "observe.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "cleanup.h"
#include "device.h"
#include "json_put.h"
#include "refusal.h"
#include "trace.h"

/* So many bytes may wait to be taken. */
#define MAX_WAITING (4u << 20)

struct observe {
	int trace_fd;
	atomic_bool events_wanted;
	int fd; /* an eventfd, signalled when the list is no longer empty */
	pthread_mutex_t lock;
	struct observed *first; /* under the lock, and so on */
	struct observed **last;
	size_t waiting;
	uint64_t lost;
};

/* ---- the list ---- */

int observe_open(int trace_fd, struct observe **out)
{
	struct observe *observe = calloc(1, sizeof(*observe));
	int ret;

	if (!observe)
		return -ENOMEM;
	observe->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (observe->fd < 0) {
		ret = -errno;
		free(observe);
		return ret;
	}
	observe->trace_fd = trace_fd;
	observe->last = &observe->first;
	pthread_mutex_init(&observe->lock, NULL);
	*out = observe;
	return 0;
}

void observe_close(struct observe *observe)
{
	struct observed *observed;

	if (!observe)
		return;
	while ((observed = observe_take(observe)))
		free(observed);
	pthread_mutex_destroy(&observe->lock);
	close(observe->fd);
	free(observe);
}

int observe_fd(const struct observe *observe)
{
	return observe->fd;
}

void observe_events(struct observe *observe, bool wanted)
{
	atomic_store_explicit(&observe->events_wanted, wanted, memory_order_relaxed);
}

bool observe_has_file(const struct observe *observe)
{
	return observe && observe->trace_fd >= 0;
}

static struct observed *new_line(const char *device, bool is_message, const char *text)
{
	size_t len = strlen(text);
	struct observed *observed = malloc(sizeof(*observed) + len + 1);

	if (!observed)
		return NULL;
	*observed = (struct observed){ .device = device, .is_message = is_message, .len = len + 1 };
	memcpy(observed->text, text, len + 1);
	observed->text[len] = '\n'; /* instead of the NUL */
	return observed;
}

static struct observed *lost_line(uint64_t lost)
{
	char text[64];

	snprintf(text, sizeof(text), "{\"event\":\"lost\",\"count\":%llu}",
		 (unsigned long long)lost);
	return new_line(NULL, false, text);
}

struct observed *observe_take(struct observe *observe)
{
	struct observed *observed;
	uint64_t lost = 0;
	uint64_t sum;

	pthread_mutex_lock(&observe->lock);
	observed = observe->first;
	if (observed) {
		observe->first = observed->next;
		observe->waiting -= observed->len;
		if (!observe->first)
			observe->last = &observe->first;
	} else {
		lost = observe->lost;
		observe->lost = 0;
		if (read(observe->fd, &sum, sizeof(sum)) < 0)
			sum = 0; /* it was empty before */
	}
	pthread_mutex_unlock(&observe->lock);
	return lost ? lost_line(lost) : observed;
}

/* Takes over `observed`, NULL for one that there was no memory for. */
static void add(struct observe *observe, struct observed *observed)
{
	uint64_t one = 1;
	bool was_empty = false;

	pthread_mutex_lock(&observe->lock);
	if (!observed || observe->waiting + observed->len > MAX_WAITING) {
		observe->lost++;
	} else {
		was_empty = !observe->first;
		*observe->last = observed;
		observe->last = &observed->next;
		observe->waiting += observed->len;
		observed = NULL;
	}
	/* Within the lock: it must not be read empty before it is signalled for what is there. */
	if (was_empty && write(observe->fd, &one, sizeof(one)) < 0)
		observe->lost++;
	pthread_mutex_unlock(&observe->lock);
	free(observed);
}

/* ---- events ---- */

static void put_time(struct json_object *object)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	put_number(object, "time_us",
		   (uint64_t)now.tv_sec * 1000000u + (uint64_t)now.tv_nsec / 1000u);
}

/* A line about the device; NULL when nobody wants to know. */
static struct json_object *event(const struct fp_device *dev, const char *what)
{
	struct json_object *object;

	if (!dev->observe ||
	    !atomic_load_explicit(&dev->observe->events_wanted, memory_order_relaxed))
		return NULL;
	object = json_object_new_object();
	put_text(object, "event", what);
	put_text(object, "device", dev->short_name);
	put_time(object);
	return object;
}

static void tell(struct fp_device *dev, bool is_message, struct json_object *object)
{
	const char *text = json_object_to_json_string_ext(object, JSON_C_TO_STRING_NOSLASHESCAPE);

	add(dev->observe, text ? new_line(dev->short_name, is_message, text) : NULL);
	json_object_put(object);
}

void observe_client_came(struct fp_device *dev, pid_t pid, uid_t uid)
{
	struct json_object *object = event(dev, "client-came");

	if (!object)
		return;
	if (pid > 0) {
		put_number(object, "pid", (uint64_t)pid);
		put_number(object, "uid", uid);
	}
	tell(dev, false, object);
}

void observe_client_refused(struct fp_device *dev)
{
	struct json_object *object = event(dev, "client-refused");

	if (object)
		tell(dev, false, object);
}

void observe_client_gone(struct fp_device *dev, const char *why)
{
	struct json_object *object = event(dev, "client-gone");

	if (!object)
		return;
	if (why)
		put_text(object, "why", why);
	tell(dev, false, object);
}

void observe_refused(struct fp_device *dev, unsigned int cmd, const struct refusal *why, int error)
{
	struct json_object *object = event(dev, "refused");
	char text[128];

	if (!object)
		return;
	put_text(object, "command", wire_cmd_name(cmd));
	put_number(object, "number", cmd);
	refusal_format(why, text, sizeof(text));
	put_text(object, "why", text);
	put_text(object, "error", strerror(-error));
	tell(dev, false, object);
}

void observe_reset(struct fp_device *dev)
{
	struct json_object *object = event(dev, "reset");

	if (object)
		tell(dev, false, object);
}

void observe_state(struct fp_device *dev, enum wire_mig_state from, enum wire_mig_state to)
{
	struct json_object *object = from == to ? NULL : event(dev, "migration");

	if (!object)
		return;
	put_text(object, "from", wire_state_name(from));
	put_text(object, "to", wire_state_name(to));
	tell(dev, false, object);
}

void observe_window(struct fp_device *dev, enum fp_event what, uint64_t address, uint64_t size)
{
	static const char *const names[] = {
		[FP_WINDOW_OPENED] = "window-mapped",
		[FP_WINDOW_CLOSED] = "window-unmapped",
		[FP_WINDOW_FAILED] = "window-failed",
	};
	struct json_object *object = event(dev, names[what]);

	if (!object)
		return;
	put_number(object, "address", address);
	put_number(object, "size", size);
	tell(dev, false, object);
}

/* ---- messages ---- */

/* One write a line: lines of several workers don't mix. */
static void to_file(const struct fp_device *dev, const char *text)
{
	char line[TRACE_TEXT_BYTES + 256];
	struct timespec now;
	struct tm tm;
	int len;

	clock_gettime(CLOCK_REALTIME, &now);
	gmtime_r(&now.tv_sec, &tm);
	len = snprintf(line, sizeof(line), "%02d:%02d:%02d.%06ld %s %s\n", tm.tm_hour, tm.tm_min,
		       tm.tm_sec, now.tv_nsec / 1000, dev->short_name, text);
	if (len > 0 && write(dev->observe->trace_fd, line, (size_t)len) < 0)
		return; /* its reader has gone, or the disk is full: the device goes on */
}

static void put_fields(struct json_object *object, const struct trace_record *record)
{
	struct json_object *fields = put_object(object, "fields");
	char name[64];

	for (unsigned int i = 0; i < record->nr_values; i++) {
		const struct trace_value *value = &record->values[i];

		snprintf(name, sizeof(name), value->index < 0 ? "%s" : "%s[%d]", value->name,
			 value->index);
		put_number(fields, name, value->value);
	}
}

static void to_watchers(struct fp_device *dev, const struct trace_msg *msg,
			const struct trace_record *record, const char *text)
{
	struct json_object *object = json_object_new_object();
	char hex[TRACE_HEX_BYTES];

	put_text(object, "event", "message");
	put_text(object, "device", dev->short_name);
	put_time(object);
	put_text(object, "to", msg->to_client ? "client" : "server");
	put_number(object, "msg_id", msg->hdr->msg_id);
	put_text(object, "command", wire_cmd_name(msg->hdr->cmd));
	put_number(object, "number", msg->hdr->cmd);
	put_number(object, "flags", msg->hdr->flags);
	put_number(object, "error", msg->hdr->error_no);
	put_number(object, "fds", msg->nr_fds);
	put_fields(object, record);
	put_bool(object, "short", record->is_short);
	put_number(object, "data_bytes", record->rest_len);
	trace_hex(record->rest, record->rest_len, hex);
	put_text(object, "data", hex);
	put_text(object, "text", text);
	tell(dev, true, object);
}

void observe_message(struct fp_device *dev, bool to_client, const struct wire_header *hdr,
		     const void *body, size_t len, unsigned int nr_fds)
{
	const struct trace_msg msg = {
		.hdr = hdr,
		.body = body,
		.len = len,
		.nr_fds = nr_fds,
		.to_client = to_client,
	};
	struct trace_record record;
	char text[TRACE_TEXT_BYTES];

	trace_decode(&msg, &record);
	trace_text(&msg, &record, text);
	if (dev->traced & OBSERVE_TO_FILE)
		to_file(dev, text);
	if (dev->traced >= OBSERVE_LIVE)
		to_watchers(dev, &msg, &record, text);
}
