#!/bin/bash
# pyftpdlib, which runs as DIR's owner; EXTRA is Python, run before it serves
. "$(dirname "$0")/common.sh"

if [ "$(id -u)" = 0 ] && [ "$mode" != plain ]; then
    # the certificate's key is readable by root alone
    install -m 600 -o "$uid" -g "$gid" "$pem" "$run/pem"
    pem=$run/pem
fi
become=()
if [ "$(id -u)" = 0 ]; then
    become=(setpriv --reuid="$uid" --regid="$gid" --clear-groups)
fi
exec "${become[@]}" /usr/bin/python3 -W ignore - "$dir" "$address" "$port" "$mode" "${pem:-}" \
    "$extra" <<'P'
import sys

from pyftpdlib.authorizers import DummyAuthorizer
from pyftpdlib.handlers import FTPHandler, TLS_FTPHandler
from pyftpdlib.servers import FTPServer

root, address, port, mode, pem, extra = sys.argv[1:7]


class Handler(FTPHandler if mode == "plain" else TLS_FTPHandler):
    authorizer = DummyAuthorizer()
    certfile = pem

    def handle(self):
        if mode == "implicit":
            self.secure_connection(self.get_ssl_context())
        super().handle()


Handler.authorizer.add_user("ftpuser", "secret", root, perm="elradfmwMT")
Handler.authorizer.add_anonymous(root)
server = FTPServer((address, int(port)), Handler)
exec(extra)  # Handler.timeout = 5; server.max_cons_per_ip = 2
server.serve_forever()
P
