/* SPDX-License-Identifier: Apache-2.0 */
/*
 * linktype.h - the few numbers of frames that capture has to know.
 */
#ifndef ENGINE_CAPTURE_LINKTYPE_H
#define ENGINE_CAPTURE_LINKTYPE_H

#include <stdbool.h>
#include <stdint.h>

enum {
	LINKTYPE_ETHERNET = 1,
	LINKTYPE_RAW = 101,
	LINKTYPE_IEEE802_11 = 105,
	LINKTYPE_IEEE802_11_PRISM = 119,
	LINKTYPE_IEEE802_11_RADIOTAP = 127,
	LINKTYPE_LINUX_SLL2 = 276
};

enum {
	ETHERTYPE_IPV4 = 0x0800,
	ETHERTYPE_IPV6 = 0x86dd,
	ETHERTYPE_VLAN = 0x8100,
	ETHERTYPE_QINQ = 0x88a8,
	ETHERTYPE_QINQ_OLD = 0x9100
};

/*
 * Protocol 2, reserved 2, interface 4, hardware type 2, packet type 1, address
 * length 1, address 8; all big-endian.
 */
enum { SLL2_HEADER = 20, VLAN_TAG = 4, ETHERNET_ADDRESSES = 12 };

static inline bool is_vlan_type(uint16_t type)
{
	return type == ETHERTYPE_VLAN || type == ETHERTYPE_QINQ ||
	       type == ETHERTYPE_QINQ_OLD;
}

#endif
