#!/bin/bash
# proftpd with mod_facts, mod_copy, mod_site_misc and mod_digest; virtual users only (needs root)
. "$(dirname "$0")/common.sh"

deb proftpd-core proftpd-mod-crypto
printf '%s\n' "ftpuser:$(openssl passwd -6 secret):$uid:$gid::$dir:/bin/sh" \
    "ftp:*:$uid:$gid::$dir:/bin/sh" > "$run/passwd"
chmod 600 "$run/passwd"
cat > "$run/conf" <<C
ModulePath $cache/root/usr/lib/proftpd
LoadModule mod_copy.c
LoadModule mod_site_misc.c
LoadModule mod_digest.c
ServerType standalone
ServerName test
DefaultAddress $address
SocketBindTight on
Port $port
UseIPv6 off
User nobody
Group nogroup
AuthOrder mod_auth_file.c
AuthUserFile $run/passwd
RequireValidShell off
UseFtpUsers off
DefaultRoot ~
AllowOverwrite on
AllowStoreRestart on
PidFile $run/pid
ScoreboardFile $run/scoreboard
DelayTable none
DelayEngine off
TransferLog none
WtmpLog off
<Anonymous $dir>
  User ftp
  UserAlias anonymous ftp
  <Limit WRITE>
    DenyAll
  </Limit>
</Anonymous>
C
if [ "$mode" != plain ]; then
    printf '%s\n' "LoadModule mod_tls.c" "TLSEngine on" "TLSRSACertificateFile $crt" \
        "TLSRSACertificateKeyFile $key" "TLSRequired off" >> "$run/conf"
fi
if [ "$mode" = implicit ]; then
    echo "TLSOptions UseImplicitSSL" >> "$run/conf"
fi
printf '%s\n' "$extra" >> "$run/conf"
exec "$cache/root/usr/sbin/proftpd" -n -q -c "$run/conf"
