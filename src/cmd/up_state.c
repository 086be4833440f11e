/* SPDX-License-Identifier: Apache-2.0 */
#include "cmd/up_state.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/mem.h"
#include "cmd/keys.h"
#include "sys/sys.h"

/* As the XDG base directory specification has it; root's own is /var/lib. */
char *up_state_default(void)
{
	const char *state = getenv("XDG_STATE_HOME");
	const char *home = getenv("HOME");

	if (state && state[0] == '/')
		return mem_format("%s/weir", state);
	if (geteuid() == 0 || !home || !home[0])
		return mem_text("/var/lib/weir");
	return mem_format("%s/.local/state/weir", home);
}

static int make_dir(const char *path, struct err *err)
{
	int rc = sys_mkdir_all(sys_host(), path);

	if (rc < 0)
		return err_sys(err, -rc,
			       "%s cannot be made; --state-dir names another "
			       "place",
			       path);
	return 0;
}

static int take_lock(struct up_state *st, struct err *err)
{
	struct sys *sys = sys_host();
	char *path = mem_format("%s/lock", st->dir);
	int rc;

	st->lock = sys->open(sys, path, SYS_WRITE | SYS_CREATE);
	rc = st->lock < 0 ? st->lock : sys->lock(sys, st->lock);
	if (rc == -EWOULDBLOCK)
		err_set(err, ERR_BUSY,
			"another weir up uses %s; end it, or give this one a "
			"--state-dir of its own",
			st->dir);
	else if (rc < 0)
		err_sys(err, -rc, "%s", path);
	free(path);
	return rc < 0 ? err->code : 0;
}

/* The pair in the file at `path`; made when it is not there. */
static int key_pair(const char *path, struct noise_keypair *pair,
		    struct err *err)
{
	if (access(path, F_OK) == 0)
		return cmd_keys_load(path, false, pair, err);
	cmd_keys_make(pair);
	return cmd_keys_save(path, false, pair, err);
}

/* A port that nobody uses now.  0 when there is none. */
static unsigned free_port(void)
{
	struct sys *sys = sys_host();
	struct sockaddr_in at = { 0 };
	socklen_t len = sizeof(at);
	int socket = sys->listen(sys, "127.0.0.1:0");
	unsigned port = 0;

	if (socket < 0)
		return 0;
	if (getsockname(socket, (struct sockaddr *)&at, &len) == 0)
		port = ntohs(at.sin_port);
	sys->hang_up(sys, socket);
	return port;
}

static int write_config(const struct up_state *st, const char *name,
			const char *text, struct err *err)
{
	char *path = mem_format("%s/%s", st->config, name);
	int rc = sys_replace_file(sys_host(), path, text, strlen(text));

	if (rc < 0)
		err_sys(err, -rc, "%s cannot be written", path);
	free(path);
	return rc < 0 ? err->code : 0;
}

static int write_configs(struct up_state *st, const char *agent_public,
			 struct err *err)
{
	struct buf text = { 0 };
	int rc;

	put_format(&text, "ip: 127.0.0.1\nnoise_port: %u\nnoise_pubkey: \"%s\"\n",
		   st->link_port, agent_public);
	put_u8(&text, 0);
	rc = write_config(st, "vulnbox.yml", (char *)text.p, err);
	buf_clear(&text);
	put_format(&text, "pcap_dir: \"%s\"\n", st->mirror);
	put_u8(&text, 0);
	if (rc == 0)
		rc = write_config(st, "infra.yml", (char *)text.p, err);
	buf_release(&text);
	return rc;
}

static int make_keys(struct up_state *st, struct err *err)
{
	struct noise_keypair agent = { 0 }, collector = { 0 };
	char agent_public[KEYFILE_TEXT + 1];
	int rc = key_pair(st->agent_key, &agent, err);

	if (rc == 0)
		rc = key_pair(st->collector_key, &collector, err);
	if (rc == 0) {
		key_text(agent_public, agent.public);
		key_text(st->collector_public, collector.public);
		rc = write_configs(st, agent_public, err);
	}
	mem_wipe(&agent, sizeof(agent));
	mem_wipe(&collector, sizeof(collector));
	return rc;
}

int up_state_open(struct up_state *st, const char *dir, struct err *err)
{
	char *keys;
	int rc;

	*st = (struct up_state){ .lock = -1 };
	st->dir = dir ? realpath(dir, NULL) : up_state_default();
	if (!st->dir)
		st->dir = mem_text(dir); /* not there yet */
	keys = mem_format("%s/keys", st->dir);
	st->agent_key = mem_format("%s/agent.key", keys);
	st->collector_key = mem_format("%s/collector.key", keys);
	st->config = mem_format("%s/config", st->dir);
	st->spool = mem_format("%s/spool", st->dir);
	st->mirror = mem_format("%s/mirror", st->dir);
	st->store = mem_format("%s/store", st->dir);
	st->link_port = free_port();

	rc = make_dir(st->dir, err);
	if (rc == 0)
		rc = take_lock(st, err);
	if (rc == 0)
		rc = make_dir(keys, err);
	if (rc == 0)
		rc = make_dir(st->config, err);
	if (rc == 0)
		rc = make_keys(st, err);
	free(keys);
	return rc;
}

void up_state_close(struct up_state *st)
{
	if (st->dir && st->lock >= 0)
		sys_host()->close(sys_host(), st->lock);
	free(st->dir);
	free(st->agent_key);
	free(st->collector_key);
	free(st->config);
	free(st->spool);
	free(st->mirror);
	free(st->store);
	*st = (struct up_state){ .lock = -1 };
}
