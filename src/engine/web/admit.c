/* SPDX-License-Identifier: Apache-2.0 */
/*
 * admit.c - who may ask: those who know the token, where there is one.
 *
 * A program sends it as "Authorization: Bearer TOKEN".  A browser opens
 * /?token=TOKEN once, and has it as a cookie from then on, which no script
 * reads and no other site's page can send.
 */
#include <stdio.h>
#include <string.h>

#include "engine/web/web_priv.h"

static const char cookie_name[] = "weir=";

/* As long for a token that is nearly right as for any other. */
static bool same(const char *token, const char *given, size_t len)
{
	size_t n = strlen(token);
	uint8_t differs = len != n;

	for (size_t i = 0; i < n; i++)
		differs |= (uint8_t)(token[i] ^ given[len ? i % len : 0]);
	return !differs;
}

static bool in_cookie(const char *token, const char *cookies)
{
	while (cookies && *cookies) {
		size_t len = strcspn(cookies, ";");
		size_t name = sizeof(cookie_name) - 1;

		if (len > name && strncmp(cookies, cookie_name, name) == 0 &&
		    same(token, cookies + name, len - name))
			return true;
		cookies += len;
		cookies += strspn(cookies, "; ");
	}
	return false;
}

static bool in_header(const char *token, const char *header)
{
	return header && strncmp(header, "Bearer ", 7) == 0 &&
	       same(token, header + 7, strlen(header + 7));
}

static void sign_in(struct web *w, struct http_request *r)
{
	char cookie[WEB_TOKEN_MAX + 64];

	snprintf(cookie, sizeof(cookie),
		 "%s%s; Path=/; HttpOnly; SameSite=Strict", cookie_name,
		 w->token);
	http_set(r, "Set-Cookie", cookie);
	http_set(r, "Location", "/");
	http_answer(r, 303, "text/plain");
}

bool web_admit(void *app, struct http_request *r)
{
	struct web *w = app;
	const char *given = http_query(r, "token");

	if (!w->token || in_cookie(w->token, http_header(r, "Cookie")) ||
	    in_header(w->token, http_header(r, "Authorization")))
		return true;
	if (given && strcmp(http_path(r), "/") == 0 &&
	    same(w->token, given, strlen(given)))
		sign_in(w, r);
	else
		http_fail(r, 401,
			  "open /?token=TOKEN in the browser once, or send "
			  "Authorization: Bearer TOKEN");
	return false;
}

/* -- where it may listen ----------------------------------------------------- */

static bool is_loopback(const char *address)
{
	const char *colon = strrchr(address, ':');

	return !colon || strncmp(address, "127.", 4) == 0 ||
	       strncmp(address, "localhost:", 10) == 0 ||
	       strncmp(address, "[::1]:", 6) == 0;
}

int web_may_listen(const struct web_config *cfg, struct err *err)
{
	size_t len = cfg->token ? strlen(cfg->token) : 0;

	if (cfg->token && (len < WEB_TOKEN_MIN || len > WEB_TOKEN_MAX ||
			   strspn(cfg->token,
				  "abcdefghijklmnopqrstuvwxyz0123456789-_."
				  "ABCDEFGHIJKLMNOPQRSTUVWXYZ") != len))
		return err_set(err, ERR_USAGE,
			       "the page's token has %d to %d letters and "
			       "digits, as \"head -c 18 /dev/urandom | base64 "
			       "| tr +/ -_\" makes one",
			       WEB_TOKEN_MIN, WEB_TOKEN_MAX);
	if (!cfg->token && !is_loopback(cfg->address))
		return err_set(err, ERR_USAGE,
			       "the page at %s could be reached from other "
			       "machines: give --api-token-file, or an address "
			       "of loopback",
			       cfg->address);
	return 0;
}
