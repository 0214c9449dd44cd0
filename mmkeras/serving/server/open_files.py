"""How many files this process may have open, of which every connection is one, and how they are shared out."""

import resource

# Left to everything but connections: the models' files while they load, the configuration, the log.
_OTHER_FILES = 256
_FEWEST_CONNECTIONS, _MOST_CONNECTIONS = 100, 10_000


def raise_file_limit():
    """Let this process open as many files as 10,000 connections a port need, or as the hard limit allows.

    Many systems begin with 1,024, which idle clients use up. It holds for the processes that this one starts, too.

    Returns:
        The limit that is in force now.
    """
    soft, hard = (_number(limit) for limit in resource.getrlimit(resource.RLIMIT_NOFILE))
    wanted = min(2 * _MOST_CONNECTIONS + _OTHER_FILES, hard)
    if soft >= wanted:
        return soft
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
    except (OSError, ValueError):  # a system may allow less than the hard limit that it tells
        return soft
    return wanted


def connection_limit(ports):
    """Return how many connections each of so many ports may hold open: 100 at least, 10,000 at most."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return int(min(max((_number(soft) - _OTHER_FILES) // ports, _FEWEST_CONNECTIONS), _MOST_CONNECTIONS))


def _number(limit):
    return 2**31 if limit == resource.RLIM_INFINITY else limit
