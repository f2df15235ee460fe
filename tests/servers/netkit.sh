#!/bin/bash
# Linux NetKit ftpd (Debian's ftpd-ssl), started per connection by socat (needs root); its TLS
# fails the handshake with the clients of today's OpenSSL, so there is only the plain mode
. "$(dirname "$0")/common.sh"

[ "$mode" = plain ] || unsupported
deb ftpd-ssl
with_users socat "TCP-LISTEN:$port,bind=$address,reuseaddr,fork" \
    "EXEC:$cache/root/usr/sbin/in.ftpd${extra:+ $extra},nofork"
