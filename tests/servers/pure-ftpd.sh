#!/bin/bash
# pure-ftpd with its own user database (needs root)
. "$(dirname "$0")/common.sh"

deb pure-ftpd pure-ftpd-common
# pure-pw useradd would pick a hash that takes seconds to check at every login
echo "ftpuser:$(openssl passwd -6 secret):$uid:$gid::$dir/./::::::::::::" > "$run/passwd"
"$cache/root/usr/bin/pure-pw" mkdb "$run/db" -f "$run/passwd"
arguments=(-S "$address,$port" -l "puredb:$run/db" -A -u 1 -H -g "$run/pid" -i -O "clf:$run/log"
    -p 30000:39999 -c 50)
case $mode in
    tls) arguments+=(-Y 1 -2 "$pem") ;;
    implicit) unsupported ;;
esac
# shellcheck disable=SC2086
with_users "$cache/root/usr/sbin/pure-ftpd" "${arguments[@]}" $extra
