"""A search page's service: texts, pictures and items find items over HTTP, by a model server and its index.

It knows no model and no TensorFlow, and needs the extra `ui` where it is run.
"""

from typing import TYPE_CHECKING

from mmkeras._lazy import lazy_exports

if TYPE_CHECKING:
    from .feedback_file import FeedbackFile as FeedbackFile
    from .index_finder import IndexFinder as IndexFinder
    from .search_request import SearchRequest as SearchRequest
    from .search_server import SearchServer as SearchServer
    from .searcher import Searcher as Searcher
    from .service_limits import ServiceLimits as ServiceLimits
    from .version_follower import VersionFollower as VersionFollower
else:
    __getattr__, __dir__, __all__ = lazy_exports(__name__, __file__)
