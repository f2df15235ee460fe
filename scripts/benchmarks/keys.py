"""keys - how a figure is named in the file of results."""


def key(link, task, who, tls=False):
    return f"{link}{', TLS' if tls else ''}: {task}: {who}"
