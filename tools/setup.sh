# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
#
# setup.sh - what ./up, ./test and .ci/run have in common: Debian packages
# that are missing, and a built tree.  Sourced from the root of the project.

# Run as root: directly, or by sudo.
as_root() {
	if [ "$(id -u)" -eq 0 ]; then
		"$@"
	elif command -v sudo >/dev/null; then
		sudo "$@"
	else
		echo "This needs root: $*" >&2
		return 1
	fi
}

# The packages of the named lists that are not installed.
missing_packages() { # LIST...
	local p
	for p in $(cd tools/packages && sed 's/#.*//' "$@" | sort -u); do
		[ "$(dpkg-query -W -f '${db:Status-Status}' "$p" \
			2>/dev/null)" = installed ] || echo "$p"
	done
}

# Install what is missing of tools/packages/LIST...; silent when nothing is.
install_packages() { # LIST...
	local missing log apt
	# Elsewhere than on Debian, Meson says what it does not find.
	command -v dpkg-query >/dev/null || return 0
	missing=$(missing_packages "$@" | xargs)
	[ -n "$missing" ] || return 0
	echo "Installing from Debian: $missing"
	log=$(mktemp)
	apt=(env DEBIAN_FRONTEND=noninteractive apt-get -qq
		-o DPkg::Lock::Timeout=300)
	# shellcheck disable=SC2086 # words on purpose
	if ! { as_root "${apt[@]}" update &&
		as_root "${apt[@]}" install -y --no-install-recommends $missing
	} >"$log" 2>&1; then
		tail -n 20 "$log" >&2
		echo "Could not install: $missing" >&2
		rm -f "$log"
		return 1
	fi
	rm -f "$log"
	packages_installed=true
}
packages_installed=false

# Build DIR, which is configured with OPTIONS when it is not there yet.
build() { # DIR [TARGET [OPTIONS...]]
	local dir=$1 target=${2-all} log setup=false
	shift $(($# > 2 ? 2 : $#))
	log=$(mktemp)
	# What was not found before may be there now.
	if [ ! -f "$dir/build.ninja" ]; then
		setup=true
	elif $packages_installed; then
		setup=true
		set -- --reconfigure "$@"
	fi
	if ! {
		{ ! $setup || meson setup "$dir" "$@"; } &&
			ninja -C "$dir" "$target"
	} >"$log" 2>&1; then
		tail -n 40 "$log" >&2
		echo "Building $dir failed; the lines above say why." >&2
		rm -f "$log"
		return 1
	fi
	rm -f "$log"
}
