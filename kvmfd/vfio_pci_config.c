/* SPDX-License-Identifier: BSD-3-Clause */
/* A vfio_pci's configuration space: what the server answers, and what is kept at this end. */
#include <errno.h>
#include <inttypes.h>
#include <linux/pci_regs.h>
#include <string.h>

#include "log.h"
#include "pci_host.h"
#include "vfio_pci_dev.h"
#include "wire.h"

/* The command bits that something here follows from. */
#define COMMAND_KEPT \
	(PCI_COMMAND_IO | PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER | PCI_COMMAND_INTX_DISABLE)

/* ---- registers ---- */

static uint32_t get(const uint8_t *bytes, unsigned int at, unsigned int nr)
{
	uint32_t value = 0;

	memcpy(&value, bytes + at, nr);
	return value;
}

uint32_t vfio_pci_config_initial(const struct vfio_pci *dev, unsigned int at, unsigned int bytes)
{
	return get(dev->config.power_on, at, bytes);
}

uint32_t vfio_pci_config_value(const struct vfio_pci *dev, unsigned int at, unsigned int bytes)
{
	return get(dev->config.value, at, bytes);
}

void vfio_pci_config_keep(struct vfio_pci *dev, unsigned int at, unsigned int bytes, uint32_t value,
			  uint32_t kept, uint32_t writable)
{
	struct config *config = &dev->config;

	memcpy(config->initial + at, &value, bytes);
	memcpy(config->value + at, &value, bytes);
	memcpy(config->kept + at, &kept, bytes);
	memcpy(config->writable + at, &writable, bytes);
}

/* Those of the bits that a guest may write; whether any of them is another one now. */
static bool set(struct config *config, uint32_t at, const uint8_t *data, uint32_t len)
{
	bool changed = false;

	for (uint32_t i = 0; i < len && at + i < CONFIG_BYTES; i++) {
		uint8_t *value = &config->value[at + i];
		uint8_t mask = config->writable[at + i];
		uint8_t now = (uint8_t)((*value & ~mask) | (data[i] & mask));

		changed |= now != *value;
		*value = now;
	}
	return changed;
}

/* ---- the list of capabilities ---- */

static void find_caps(struct vfio_pci *dev)
{
	struct config *config = &dev->config;
	uint8_t link = PCI_CAPABILITY_LIST;
	uint8_t at = config->power_on[link] & 0xfc;

	if (!(config->power_on[PCI_STATUS] & PCI_STATUS_CAP_LIST))
		return;
	while (at >= PCI_STD_HEADER_SIZEOF && config->nr_caps < MAX_CAPS) {
		config->caps[config->nr_caps++] = (struct cap){
			.id = config->power_on[at + PCI_CAP_LIST_ID],
			.at = at,
			.link = link,
		};
		link = (uint8_t)(at + PCI_CAP_LIST_NEXT);
		at = config->power_on[link] & 0xfc;
	}
	if (!at)
		return;
	if (config->nr_caps < MAX_CAPS) {
		log_warn("%s: its list of capabilities leads to %#x", dev->options.socket, at);
		return;
	}
	log_warn("%s: its list of capabilities runs in a circle: none is used",
		 dev->options.socket);
	config->nr_caps = 0;
}

unsigned int vfio_pci_config_cap(const struct vfio_pci *dev, uint8_t id, unsigned int bytes)
{
	const struct config *config = &dev->config;

	for (unsigned int i = 0; i < config->nr_caps; i++)
		if (config->caps[i].id == id && config->caps[i].at + bytes <= CONFIG_BYTES)
			return config->caps[i].at;
	return 0;
}

void vfio_pci_config_hide(struct vfio_pci *dev, unsigned int at)
{
	const struct config *config = &dev->config;

	for (unsigned int i = 0; i < config->nr_caps; i++)
		if (config->caps[i].at == at)
			vfio_pci_config_keep(dev, config->caps[i].link, 1,
					     config->power_on[at + PCI_CAP_LIST_NEXT], 0xff, 0);
}

/* ---- what the server has ---- */

int vfio_pci_config_size(struct fpc *client, uint32_t *bytes)
{
	struct fpc_region_info info;
	int ret = fpc_region_info(client, CONFIG_REGION, &info, NULL);

	if (ret)
		return ret;
	*bytes = info.size < PCI_CFG_SPACE_EXP_SIZE ? (uint32_t)info.size : PCI_CFG_SPACE_EXP_SIZE;
	return 0;
}

static int check_size(struct vfio_pci *dev)
{
	int ret = vfio_pci_config_size(dev->client, &dev->config.bytes);

	if (ret)
		return vfio_pci_failed(dev, "DEVICE_GET_REGION_INFO of the configuration space",
				       ret);
	if (dev->config.bytes >= PCI_STD_HEADER_SIZEOF)
		return 0;
	log_error("%s: a configuration space of %" PRIu32 " bytes", dev->options.socket,
		  dev->config.bytes);
	return -EPROTO;
}

int vfio_pci_config_open(struct vfio_pci *dev)
{
	struct config *config = &dev->config;
	int ret = check_size(dev);

	if (ret)
		return ret;
	ret = fpc_region_read(dev->client, CONFIG_REGION, 0, config->power_on,
			      config->bytes < CONFIG_BYTES ? config->bytes : CONFIG_BYTES);
	if (ret)
		return vfio_pci_failed(dev, "read of the configuration space", ret);
	memcpy(config->initial, config->power_on, CONFIG_BYTES);
	memcpy(config->value, config->power_on, CONFIG_BYTES);
	vfio_pci_config_keep(dev, PCI_COMMAND, 2, 0, COMMAND_KEPT, COMMAND_KEPT);
	/* A device with a header of another kind is none that could be here, nor has it functions. */
	vfio_pci_config_keep(dev, PCI_HEADER_TYPE, 1, PCI_HEADER_TYPE_NORMAL, 0xff, 0);
	find_caps(dev);
	return 0;
}

int vfio_pci_config_program(struct vfio_pci *dev, unsigned int at, uint32_t value,
			    unsigned int bytes)
{
	int ret = fpc_region_write(dev->client, CONFIG_REGION, at, &value, bytes);

	if (ret)
		return vfio_pci_failed(dev, "write of the configuration space", ret);
	set(&dev->config, at, (const uint8_t *)&value, bytes);
	return 0;
}

/*
 * A word at a time, as the status register beside the command register must not be written: it is
 * cleared by that. From the last one on, so that nothing is enabled before it is somewhere.
 */
int vfio_pci_config_repeat(struct vfio_pci *dev)
{
	struct config *config = &dev->config;
	uint32_t bytes = config->bytes < CONFIG_BYTES ? config->bytes : CONFIG_BYTES;
	uint8_t theirs[CONFIG_BYTES] = { 0 };
	int ret = fpc_region_read(dev->client, CONFIG_REGION, 0, theirs, bytes);

	if (ret)
		return vfio_pci_failed(dev, "read of the configuration space", ret);
	for (unsigned int at = bytes & ~1u; at && !ret; at -= 2) {
		uint32_t mask = get(config->writable, at - 2, 2);
		uint32_t value =
			(get(theirs, at - 2, 2) & ~mask) | (get(config->value, at - 2, 2) & mask);

		if (mask)
			ret = vfio_pci_config_program(dev, at - 2, value, 2);
	}
	config->power_state = 0;
	return ret;
}

/* ---- resets by the guest ---- */

static bool sets(uint32_t offset, const uint8_t *data, uint32_t len, unsigned int at, uint8_t bit)
{
	return at >= offset && at - offset < len && data[at - offset] & bit;
}

/* A function level reset, which the server has seen and does. */
static bool is_flr(const struct vfio_pci *dev, uint32_t offset, const uint8_t *data, uint32_t len)
{
	unsigned int express = vfio_pci_config_cap(dev, PCI_CAP_ID_EXP, PCI_EXP_DEVCTL + 2);
	unsigned int af = vfio_pci_config_cap(dev, PCI_CAP_ID_AF, PCI_CAP_AF_SIZEOF);

	if (express &&
	    vfio_pci_config_initial(dev, express + PCI_EXP_DEVCAP, 4) & PCI_EXP_DEVCAP_FLR &&
	    sets(offset, data, len, express + PCI_EXP_DEVCTL + 1, PCI_EXP_DEVCTL_BCR_FLR >> 8))
		return true;
	return af && dev->config.power_on[af + PCI_AF_CAP] & PCI_AF_CAP_FLR &&
	       sets(offset, data, len, af + PCI_AF_CTRL, PCI_AF_CTRL_FLR);
}

/* Back from D3hot, a device that does not say No_Soft_Reset is reset: PCI PM 1.2, 5.4.1. */
static bool wakes_reset(struct vfio_pci *dev, uint32_t offset, const uint8_t *data, uint32_t len)
{
	unsigned int at = vfio_pci_config_cap(dev, PCI_CAP_ID_PM, PCI_PM_SIZEOF);
	uint8_t before = dev->config.power_state;

	at += PCI_PM_CTRL;
	if (at == PCI_PM_CTRL || at < offset || at - offset >= len)
		return false;
	dev->config.power_state = data[at - offset] & PCI_PM_CTRL_STATE_MASK;
	return before == 3 && dev->config.power_state == 0 &&
	       !(dev->config.power_on[at] & PCI_PM_CTRL_NO_SOFT_RESET);
}

static void follow(struct vfio_pci *dev)
{
	vfio_pci_irqs_update(dev);
	vfio_pci_bars_update(dev);
	vfio_pci_memory_update(dev);
}

void vfio_pci_config_forget(struct vfio_pci *dev)
{
	memcpy(dev->config.value, dev->config.initial, CONFIG_BYTES);
	dev->config.power_state = 0;
	vfio_pci_irqs_reset(dev);
	follow(dev);
}

static void reset_softly(struct vfio_pci *dev)
{
	int ret = dev->resettable ? fpc_reset(dev->client) : 0;

	if (ret)
		vfio_pci_lament(dev, "DEVICE_RESET", CONFIG_REGION, 0, ret);
	vfio_pci_config_forget(dev);
}

/* ---- the guest's accesses ---- */

static bool ask_server(struct vfio_pci *dev, uint32_t offset, void *data, uint32_t len)
{
	int ret = dev->gone ? -ECONNRESET :
			      fpc_region_read(dev->client, CONFIG_REGION, offset, data, len);

	if (ret)
		vfio_pci_lament(dev, "read", CONFIG_REGION, offset, ret);
	return !ret;
}

static void read_config(void *opaque, uint32_t offset, void *data, uint32_t len)
{
	struct vfio_pci *dev = opaque;
	const struct config *config = &dev->config;
	uint8_t *bytes = data;

	if (!wire_within(offset, len, config->bytes) || !ask_server(dev, offset, data, len)) {
		memset(data, 0xff, len);
		return;
	}
	vfio_pci_messages_refresh(dev);
	for (uint32_t i = 0; i < len && offset + i < CONFIG_BYTES; i++)
		bytes[i] = (uint8_t)((bytes[i] & ~config->kept[offset + i]) |
				     (config->value[offset + i] & config->kept[offset + i]));
}

static void write_config(void *opaque, uint32_t offset, const void *data, uint32_t len)
{
	struct vfio_pci *dev = opaque;
	int ret;

	if (!wire_within(offset, len, dev->config.bytes) || dev->gone)
		return;
	ret = fpc_region_write(dev->client, CONFIG_REGION, offset, data, len);
	if (ret)
		vfio_pci_lament(dev, "write", CONFIG_REGION, offset, ret);
	if (is_flr(dev, offset, data, len))
		vfio_pci_config_forget(dev);
	else if (wakes_reset(dev, offset, data, len))
		reset_softly(dev);
	else if (set(&dev->config, offset, data, len))
		follow(dev);
}

static void freed(void *opaque)
{
	vfio_pci_bars_freed(opaque);
}

const struct pci_function_ops vfio_pci_config_ops = {
	.freed = freed,
	.read = read_config,
	.write = write_config,
};
