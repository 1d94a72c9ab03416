/* SPDX-License-Identifier: BSD-3-Clause */
#include "caps.h"

#include <errno.h>
#include <json-c/json.h>
#include <stdio.h>
#include <string.h>

#include "wire.h"

/* Deeper or longer than any peer has reason to send. */
#define MAX_DEPTH 8
#define MAX_TEXT 16384

const struct caps caps_ours = {
	.max_msg_fds = 16, /* QEMU's client takes no more for an answer */
	.max_data_xfer_size = WIRE_DEFAULT_MAX_DATA_XFER,
	.max_dma_maps = WIRE_DEFAULT_MAX_DMA_MAPS,
	.pgsizes = WIRE_DEFAULT_PGSIZES,
	.write_multiple = true,
};

static const struct caps defaults = {
	.max_msg_fds = WIRE_DEFAULT_MAX_MSG_FDS,
	.max_data_xfer_size = WIRE_DEFAULT_MAX_DATA_XFER,
	.max_dma_maps = WIRE_DEFAULT_MAX_DMA_MAPS,
	.pgsizes = WIRE_DEFAULT_PGSIZES,
};

/* The number `name` to *value when it is there; -EINVAL when it is none, or not min to max. */
static int number(struct json_object *object, const char *name, uint64_t min, uint64_t max,
		  uint64_t *value)
{
	struct json_object *member;
	uint64_t n;

	if (!json_object_object_get_ex(object, name, &member))
		return 0;
	if (!json_object_is_type(member, json_type_int) || json_object_get_int64(member) < 0)
		return -EINVAL;
	n = json_object_get_uint64(member);
	if (n < min || n > max)
		return -EINVAL;
	*value = n;
	return 0;
}

static int boolean(struct json_object *object, const char *name, bool *value)
{
	struct json_object *member;

	if (!json_object_object_get_ex(object, name, &member))
		return 0;
	if (!json_object_is_type(member, json_type_boolean))
		return -EINVAL;
	*value = json_object_get_boolean(member);
	return 0;
}

static int twin_socket(struct json_object *object, struct caps *caps)
{
	struct json_object *member;
	uint64_t index = caps->twin_fd_index;

	if (!json_object_object_get_ex(object, "twin_socket", &member))
		return 0;
	if (!json_object_is_type(member, json_type_object))
		return -EINVAL;
	if (boolean(member, "supported", &caps->twin_socket) ||
	    number(member, "fd_index", 0, UINT32_MAX, &index))
		return -EINVAL;
	caps->twin_fd_index = (uint32_t)index;
	return 0;
}

static int read_members(struct json_object *object, struct caps *caps, const char **why)
{
	uint64_t fds = caps->max_msg_fds;

	/* The name that a foreign client sends its limit by, from an older draft. */
	*why = "max_fds";
	if (number(object, *why, 0, UINT32_MAX, &fds))
		return -EINVAL;
	*why = "max_msg_fds";
	if (number(object, *why, 0, UINT32_MAX, &fds))
		return -EINVAL;
	caps->max_msg_fds = (uint32_t)fds;
	*why = "max_data_xfer_size";
	if (number(object, *why, 1, UINT32_MAX, &caps->max_data_xfer_size))
		return -EINVAL;
	*why = "max_dma_maps";
	if (number(object, *why, 0, UINT64_MAX, &caps->max_dma_maps))
		return -EINVAL;
	*why = "pgsizes";
	if (number(object, *why, 1, UINT64_MAX, &caps->pgsizes))
		return -EINVAL;
	*why = "write_multiple";
	if (boolean(object, *why, &caps->write_multiple))
		return -EINVAL;
	*why = "shadow_ioeventfd";
	if (boolean(object, *why, &caps->shadow_ioeventfd))
		return -EINVAL;
	*why = "vm_interrupt";
	if (boolean(object, *why, &caps->vm_interrupt))
		return -EINVAL;
	*why = "twin_socket";
	return twin_socket(object, caps);
}

/* NUL-terminated text that is one JSON value and nothing else, or NULL. */
static struct json_object *parse(const char *text)
{
	struct json_tokener *tokener = json_tokener_new_ex(MAX_DEPTH);
	size_t len = strlen(text);
	struct json_object *root;
	size_t end;

	if (!tokener)
		return NULL;
	root = json_tokener_parse_ex(tokener, text, (int)len + 1);
	end = json_tokener_get_parse_end(tokener); /* behind the NUL, if that was what ended it */
	if (json_tokener_get_error(tokener) != json_tokener_success ||
	    (end < len && text[end + strspn(text + end, " \t\r\n")])) {
		json_object_put(root);
		root = NULL;
	}
	json_tokener_free(tokener);
	return root;
}

int caps_parse(const void *text, size_t len, struct caps *caps, const char **why)
{
	struct json_object *root;
	struct json_object *members;
	int ret = 0;

	*caps = defaults;
	*why = "the JSON";
	if (!len)
		return 0;
	if (len > MAX_TEXT || ((const char *)text)[len - 1])
		return -EINVAL;
	root = parse(text);
	if (!json_object_is_type(root, json_type_object))
		ret = -EINVAL;
	if (!ret && json_object_object_get_ex(root, "capabilities", &members)) {
		*why = "capabilities";
		if (json_object_is_type(members, json_type_object))
			ret = read_members(members, caps, why);
		else
			ret = -EINVAL;
	}
	json_object_put(root);
	return ret;
}

int caps_format(const struct caps *caps, char *text, size_t size)
{
	int len = snprintf(
		text, size,
		"{\"capabilities\":{\"max_msg_fds\":%u,\"max_data_xfer_size\":%llu,"
		"\"max_dma_maps\":%llu,\"pgsizes\":%llu%s%s%s%s}}",
		caps->max_msg_fds, (unsigned long long)caps->max_data_xfer_size,
		(unsigned long long)caps->max_dma_maps, (unsigned long long)caps->pgsizes,
		caps->write_multiple ? ",\"write_multiple\":true" : "",
		caps->twin_socket ? ",\"twin_socket\":{\"supported\":true,\"fd_index\":0}" : "",
		caps->shadow_ioeventfd ? ",\"shadow_ioeventfd\":true" : "",
		caps->vm_interrupt ? ",\"vm_interrupt\":true" : "");

	return (size_t)len < size ? len + 1 : -ENOSPC;
}
