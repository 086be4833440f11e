/* SPDX-License-Identifier: Apache-2.0 */
/*
 * agent_stubs.c - the static libpcap knows how to capture from D-Bus.  These
 * two take the place of that part, so that libdbus stays outside.
 */
struct pcap;
struct pcap_if_list;

struct pcap *dbus_create(const char *device, char *errbuf, int *is_ours);
int dbus_findalldevs(struct pcap_if_list *list, char *errbuf);

struct pcap *dbus_create(const char *device, char *errbuf, int *is_ours)
{
	(void)device;
	(void)errbuf;
	*is_ours = 0;
	return (struct pcap *)0;
}

int dbus_findalldevs(struct pcap_if_list *list, char *errbuf)
{
	(void)list;
	(void)errbuf;
	return 0;
}
