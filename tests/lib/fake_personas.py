"""fake_personas - how the servers of this world differ, as data: one Persona each.

What a persona says and does was measured on the real server it is named after."""

from dataclasses import dataclass, field, replace

from fake_tree import strerror


@dataclass(frozen=True)
class Persona:
    name: str
    greeting: str
    features: tuple = ()           # lines of FEAT; empty: no FEAT at all
    missing: frozenset = frozenset()  # commands it does not have: 502
    syst: str = "UNIX Type: L8"
    home: bytes = b"/"             # PWD after login
    facts: str = ""                # style of MLSD's facts; "": no MLST, no MLSD
    mlsd_final: int = 226
    listing: str = "unix"          # or "dos"
    list_a: str = "yes"            # "no": 550; "ignored"; "bare": only without a path
    hides_dots: bool = True        # plain LIST leaves dot files out
    list_missing: str = "empty"    # LIST of a missing path: "empty" (226) or "refuse"
    list_limit: int = 0            # entries, then "Output truncated" and a 226
    dot_entries: bool = False      # LIST -a and MLSD show "." and ".."
    zone: int = 0                  # of the times in LIST, seconds ahead of UTC
    cut: str = "426 Transfer aborted. Data connection closed."  # "": the session is closed
    patch: str = "keeps"           # REST + STOR: "keeps" the tail, "truncates", "refuses" the STOR,
                                   # "ignores" the REST
    rest_forgets: bool = False     # any other command undoes REST
    rest_beyond: int = 226         # answer to RETR from beyond the end
    line_max: int = 0              # a longer line is executed in pieces
    reorders: bool = False         # answers commands of one flight out of order
    mute_after_pasv: bool = False  # nothing is answered until the data connection is made
    dele_takes_dirs: bool = False
    rmd_takes_files: bool = False
    mkd_says_yes: bool = False     # 257 to a directory that exists
    rename_over: bool = True
    rnfr_blind: bool = False       # 350 to a missing file
    aborted_says: str = "426 Data connection closed."  # upload that ended in a reset
    many: str = "421 There are too many connections from your internet address."
    refuse_closes_pasv: bool = False
    eprt: str = "call"             # connects for the transfer; or "early": when asked
    words: object = None           # (verb, errno name, path) -> "550 text"
    extra: dict = field(default_factory=dict)


def _vsftpd(verb, error, path):
    if error == "ENOSPC":
        return "451 Failure writing to local file."
    return {
        "CWD": "550 Failed to change directory.",
        "STOR": "553 Could not create file.",
        "APPE": "553 Could not create file.",
        "DELE": "550 Delete operation failed.",
        "RMD": "550 Remove directory operation failed.",
        "MKD": "550 Create directory operation failed.",
        "RNTO": "550 Rename failed.",
        "RNFR": "550 RNFR command failed.",
        "SIZE": "550 Could not get file size.",
        "MDTM": "550 Could not get file modification time.",
        "SITE": "550 SITE CHMOD command failed.",
    }.get(verb, "550 Failed to open file.")


def _proftpd(verb, error, path):
    if verb in ("MLST", "MLSD"):
        return f"550 '{path}' {'is not a directory' if error == 'ENOTDIR' else 'cannot be listed'}" \
            if error in ("ENOENT", "ENOTDIR") else f"550 {path}: {strerror(error)}"
    if error == "ENOSPC":
        return f"452 {path}: {strerror(error)}"
    if verb in ("RETR", "STOR", "APPE", "SIZE") and error == "EISDIR":
        return f"550 {path}: Not a regular file"
    return f"550 {path}: {strerror(error)}"


def _pureftpd(verb, error, path):
    text = strerror(error)
    if error == "ENOSPC":
        return "451 Error during write to file"
    if verb in ("MLST", "SIZE", "MLSD", "MDTM"):
        return "550 Can't check for file existence"
    if verb == "RNFR":
        return "550 Sorry, but that file doesn't exist"
    if verb == "RETR" and error == "EISDIR":
        return "550 I can only retrieve regular files"
    if verb == "DELE" and error == "EISDIR":
        return f"550 Could not delete {path}: Invalid argument"
    return {
        "CWD": f"550 Can't change directory to {path}: {text}",
        "STOR": f"553 Can't open that file: {text}",
        "APPE": f"553 Can't open that file: {text}",
        "DELE": f"550 Could not delete {path}: {text}",
        "MKD": f"550 Can't create directory: {text}",
        "RMD": f"550 Can't remove directory: {text}",
        "RNTO": f"451 Rename/move failure: {text}",
    }.get(verb, f"550 Can't open {path}: {text}")


def _pyftpdlib(verb, error, path):
    if error == "ENOSPC":
        return "426 None; transfer aborted."
    if verb == "MLSD":
        return "501 No such directory."
    if verb in ("SIZE", "MDTM"):
        return f"550 {path} is not retrievable."
    return f"550 {strerror(error)}."


def _aioftp(verb, error, path):
    if error == "ENOSPC" or error == "ENOTEMPTY":
        return "451 file system error"
    return "550 " + {
        "ENOTDIR": "path is not a directory" if verb in ("CWD", "RMD") else "path does not exists",
        "EISDIR": "path is not a file",
        "EEXIST": "path already exists",
        "EACCES": "permission denied",
        "ENOENT": "path unreachable" if verb in ("STOR", "APPE") else "path does not exists",
    }.get(error, "path does not exists")


def _twisted(verb, error, path):
    name = path.rsplit("/", 1)[-1]
    return "550 " + {
        "ENOENT": f"['{name}']: No such file or directory.",
        "EISDIR": f"{path}: is a directory",
        "EEXIST": f"{path}: File exists",
        "ENOTDIR": f"Cannot rmd, {path} is not a directory",
        "EACCES": f"{path}: Permission denied.",
    }.get(error, "internal server error")


def _inetutils(verb, error, path):
    if error == "ENOSPC":
        return f"452 Error writing file: {strerror(error)}."
    if verb == "SIZE" or (verb == "RETR" and error == "EISDIR"):
        return f"550 {path}: not a plain file."
    if verb == "RNTO":
        return f"550 rename: {strerror(error)}."
    return f"{553 if verb in ('STOR', 'APPE') else 550} {path}: {strerror(error)}."


def _iis(verb, error, path):
    return "550 " + {
        "ENOENT": "The system cannot find the file specified. ",
        "EACCES": "Access is denied. ",
        "EEXIST": "Cannot create a file when that file already exists. ",
        "ENOTEMPTY": "The directory is not empty. ",
        "ENOTDIR": "The directory name is invalid. ",
        "EISDIR": "Access is denied. ",
    }.get(error, "The parameter is incorrect. ")


NO_MLST = frozenset({"MLST", "MLSD", "MFMT", "MFF", "RANG"})

VSFTPD = Persona(
    "vsftpd", "220 (vsFTPd 3.0.3)",
    features=("EPRT", "EPSV", "MDTM", "PASV", "REST STREAM", "SIZE", "TVFS"),
    missing=NO_MLST | {"AVBL"}, words=_vsftpd, dot_entries=True,
    cut="426 Failure writing network stream.", extra={"mdtm_sets": True, "chmod": True})

PROFTPD = Persona(
    "proftpd", "220 ProFTPD Server (Debian) [::ffff:127.0.0.1]",
    features=("MDTM", "MFMT", "REST STREAM", "SIZE", "EPSV", "RANG STREAM", "UTF8", "TVFS",
              "MLST modify*;perm*;size*;type*;unique*;UNIX.group*;UNIX.mode*;UNIX.owner*;",
              "SITE COPY", "SITE MKDIR", "SITE RMDIR", "SITE SYMLINK", "SITE UTIME"),
    facts="pro", words=_proftpd, dot_entries=True, list_missing="refuse", rest_beyond=554,
    refuse_closes_pasv=True,
    many="530 Sorry, the maximum number of clients (2) from your host are already connected.",
    extra={"chmod": True, "utime": True, "symlink": True, "copy": True, "pair": True})

PUREFTPD = Persona(
    "pureftpd", "220---------- Welcome to Pure-FTPd [privsep] [TLS] ----------\r\n"
    "220-You are user number 1 of 50 allowed.\r\n220-Local time is now 05:30. Server port: 21.\r\n"
    "220 You will be disconnected after 15 minutes of inactivity.",
    features=("EPRT", "IDLE", "MDTM", "SIZE", "MFMT", "REST STREAM", "UTF8", "EPSV",
              "MLST type*;size*;sizd*;modify*;UNIX.mode*;UNIX.uid*;UNIX.gid*;unique*;",
              "MLSD", "PASV"),
    missing=frozenset({"RANG", "MFF"}), facts="pure", words=_pureftpd, dot_entries=True,
    list_limit=10000, cut="150 0.007 seconds (measured here), 1.00 Mbytes per second",
    patch="truncates", rest_beyond=554, aborted_says="451 Error during write to file",
    many="421 Too many connections (2) from this IP", extra={"chmod": True, "utime": True})

PYFTPDLIB = Persona(
    "pyftpdlib", "220 pyftpdlib 1.5.7 ready.",
    features=("EPRT", "EPSV", "MDTM", "MFMT",
              "MLST type*;perm*;size*;modify*;unique*;unix.mode;unix.uid;unix.gid;",
              "REST STREAM", "SIZE", "TVFS", "UTF8"),
    missing=frozenset({"RANG", "MFF"}), facts="py", words=_pyftpdlib, hides_dots=False,
    list_a="bare", list_missing="refuse", rest_beyond=554, eprt="early",
    aborted_says="226 Transfer complete.", cut="426 Transfer aborted; 65536 bytes transmitted.",
    many="421 Too many connections from the same IP address.", extra={"chmod": True})

AIOFTP = Persona(
    "aioftp", "220 welcome",
    missing=frozenset({"FEAT", "SIZE", "MDTM", "MFMT", "MFF", "NOOP", "RANG", "SITE", "ALLO",
                       "OPTS", "EPRT", "NLST", "STAT", "SYST"}),
    facts="aio", mlsd_final=200, words=_aioftp, hides_dots=False, list_a="no",
    list_missing="refuse", cut="", reorders=True, rest_forgets=True, rename_over=False,
    many="421 Too many connections", extra={"mkd_parents": True})

TWISTED = Persona(
    "twisted", "220 Twisted 22.4.0 FTP Server",
    features=("MDTM", "PASV", "SIZE", "TYPE A;I"),
    missing=NO_MLST | {"REST", "APPE", "EPSV", "EPRT", "SITE", "OPTS", "ALLO", "STAT"}, words=_twisted,
    hides_dots=False, list_a="bare", list_missing="refuse", mute_after_pasv=True,
    rnfr_blind=True, aborted_says="226 Transfer Complete.",
    cut="426 Transfer aborted.  Data connection closed.",
    many="421 Too many users right now, try again in a few minutes.")

INETUTILS = Persona(
    "inetutils", "220 host FTP server (GNU inetutils 2.4) ready.",
    features=("SIZE", "MDTM", "REST STREAM", "EPSV"), home=b"/home/ftpuser",
    missing=NO_MLST | {"OPTS"}, words=_inetutils, hides_dots=False, dot_entries=True,
    cut="426 Data connection: Success.", rest_forgets=True, line_max=512, dele_takes_dirs=True,
    mkd_says_yes=True, zone=19800, extra={"chmod": True, "total": True})

IIS = Persona(
    "iis", "220 Microsoft FTP Service",
    features=("SIZE", "MDTM", "REST STREAM", "EPSV", "UTF8"), syst="Windows_NT",
    missing=NO_MLST | {"AVBL"}, words=_iis, listing="dos", list_a="ignored", hides_dots=False,
    list_missing="refuse", zone=-28800)

ALL = (VSFTPD, PROFTPD, PUREFTPD, PYFTPDLIB, AIOFTP, TWISTED, INETUTILS, IIS)


def but(persona, **changes):
    """The same persona with some things changed."""
    return replace(persona, **changes)
