/* SPDX-License-Identifier: Apache-2.0 */
#include "codec/message.h"

#include <stdarg.h>
#include <stdio.h>

void message_summary(struct message *m, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(m->summary, sizeof(m->summary), fmt, ap);
	va_end(ap);
	for (char *p = m->summary; *p; p++)
		if (*p < 0x20 || *p > 0x7e)
			*p = '.';
}

const char *message_protocol_name(enum message_protocol p)
{
	static const char *const names[MESSAGE_PROTOCOLS] = {
		[MESSAGE_HTTP1] = "http1", [MESSAGE_HTTP2] = "http2",
		[MESSAGE_WEBSOCKET] = "websocket", [MESSAGE_DNS] = "dns",
		[MESSAGE_TLS] = "tls", [MESSAGE_QUIC] = "quic",
	};

	return names[p];
}

const char *message_status_name(enum message_status s)
{
	static const char *const names[] = {
		[MESSAGE_COMPLETE] = "complete",
		[MESSAGE_PARTIAL] = "partial",
		[MESSAGE_PARSE_ERROR] = "parse_error",
	};

	return names[s];
}
