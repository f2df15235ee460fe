#!/bin/bash
# Twisted's FTP server; no explicit TLS, and an implicit one whose data stays in the clear
. "$(dirname "$0")/common.sh"

[ "$mode" = plain ] || unsupported
exec /usr/bin/python3 - "$dir" "$address" "$port" "$extra" <<'P'
import sys

from twisted.cred.checkers import AllowAnonymousAccess, InMemoryUsernamePasswordDatabaseDontUse
from twisted.cred.portal import Portal
from twisted.internet import reactor
from twisted.protocols.ftp import BaseFTPRealm, FTPFactory
from twisted.python.filepath import FilePath

root, address, port, extra = sys.argv[1:5]


class Realm(BaseFTPRealm):
    def getHomeDirectory(self, user):
        return FilePath(root)


users = InMemoryUsernamePasswordDatabaseDontUse()
users.addUser("ftpuser", "secret")  # text, not bytes: its FTP passes credentials as text
portal = Portal(Realm(root), [AllowAnonymousAccess(), users])
factory = FTPFactory(portal)
exec(extra)  # factory.timeOut = 5; factory.connectionLimit = 2
reactor.listenTCP(int(port), factory, interface=address)
reactor.run()
P
