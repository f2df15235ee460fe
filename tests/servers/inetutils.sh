#!/bin/bash
# GNU inetutils ftpd, started per connection by socat (needs root)
. "$(dirname "$0")/common.sh"

[ "$mode" = plain ] || unsupported
deb inetutils-ftpd
with_users socat "TCP-LISTEN:$port,bind=$address,reuseaddr,fork" \
    "EXEC:$cache/root/usr/sbin/ftpd -a pam${extra:+ $extra},nofork"
