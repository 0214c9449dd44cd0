"""`Page`: a page as a reader gets it, for the tests of what we write as HTML."""

import html.parser

VOID = {"meta", "link", "img", "br", "path", "use"}


class Page(html.parser.HTMLParser):
    """The tags, attributes and visible text of a page; fails on tags that do not nest."""

    def __init__(self, source):
        super().__init__()
        self.open, self.tags, self.links, self.words, self.alts = [], [], [], [], []
        self.feed(source)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        attributes = dict(attributes)
        self.links += [attributes[name] for name in ("src", "href", "srcset", "action", "data") if name in attributes]
        if tag == "img":
            self.alts.append(attributes["alt"])
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.handle_starttag(tag, attributes)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag):
        if tag not in VOID:
            assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] != "style":
            self.words.append(data)

    @property
    def text(self):
        return " ".join(" ".join(self.words).split())
