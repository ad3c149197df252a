#!/usr/bin/env bash
# The demo: a kernel is booted, modules are loaded into it, and real programs talk
# through it from a namespace of their own. It needs no root. Every step is checked:
# the script ends non-zero if one did not really happen.
set -u
cd "$(dirname "$0")/.."

if [ "${1-}" != inside ]; then
	[ -x bin/knit ] || { echo "demo: bin/knit is missing: run make build first" >&2; exit 1; }
	printf '$ knit run --no-uplink -- demo/demo.sh inside\n'
	exec bin/knit run --no-uplink -- "$0" inside
fi

# From here on we are in the namespace: the interface leads to the kernel, the knit
# commands talk to it.
PATH="$PWD/bin:$PATH"
kernel=10.0.2.2
bold= plain=
if [ -t 1 ]; then bold=$'\e[1m' plain=$'\e[0m'; fi
out=
failed=0

# say tells what comes.
say() { printf '\n%s# %s%s\n' "$bold" "$*" "$plain"; }

# typed prints a command as a user would type it.
typed() {
	local word
	for word; do
		case $word in
		*[!A-Za-z0-9_./:=+-]*) printf " '%s'" "$word" ;;
		*) printf ' %s' "$word" ;;
		esac
	done
}

# step runs a command, and shows it and what it prints.
step() {
	printf '%s$%s%s\n' "$bold" "$(typed "$@")" "$plain"
	out=$("$@" 2>&1)
	status=$?
	[ -n "$out" ] && printf '%s\n' "$out"
	return 0
}

# want checks the step before: its status, and a text in what it printed.
want() {
	case $1/$status in
	ok/0 | fails/[1-9]*) ;;
	*)
		printf 'demo: FAILED: the command ended with status %s\n' "$status" >&2
		failed=1
		;;
	esac
	if [ $# -gt 1 ] && ! grep -qF -- "$2" <<<"$out"; then
		printf 'demo: FAILED: the output does not contain %s\n' "$2" >&2
		failed=1
	fi
}

# Real programs where they are installed, else knit's own.
if command -v curl >/dev/null; then get=(curl -sS --max-time 10); else get=(knit get); fi
if command -v ping >/dev/null; then ping=(ping -c 3 -i 0.2 "$kernel"); else ping=(knit ping -c 3 -i 0.2 10.0.2.100); fi

say "The kernel runs. What is loaded so far came with the interface:"
step knit lsmod
want ok ip4
step "${ping[@]}"
want ok "3 received, 0% packet loss"

say "A service that lives inside the kernel: modprobe loads TCP for it."
step knit modprobe hello
want ok
step knit lsmod
want ok hello
step "${get[@]}" "http://$kernel:8000/"
want ok "Thank you for your message!"

say "A module in use cannot be unloaded."
step knit rmmod tcp
want fails "Module tcp is in use by: hello"

say "Without the module the next request is refused."
step knit rmmod hello
want ok
step "${get[@]}" "http://$kernel:8000/"
want fails "(7) Failed to connect"

say "The same module with another parameter."
step knit modprobe hello "greeting=Nice to see you again."
want ok
step "${get[@]}" "http://$kernel:8000/"
want ok "Nice to see you again."

say "modprobe -r takes along what nobody needs any more."
step knit modprobe -r hello
want ok
step knit lsmod
want ok
if grep -q '^tcp ' <<<"$out"; then printf 'demo: FAILED: tcp is still loaded\n' >&2; failed=1; fi

say "The kernel's log tells what the service heard."
step knit dmesg
want ok 'said "GET / HTTP/1.1"'

if [ "$failed" -ne 0 ]; then
	printf '\ndemo: some steps did not happen as they should\n' >&2
	exit 1
fi
say "Every step happened."
