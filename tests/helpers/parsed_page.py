"""A parsed page."""

from html.parser import HTMLParser


class Parsed(HTMLParser):
    """Elements with their attributes, visible text, and the page's data."""

    def __init__(self, page):
        super().__init__()
        self.elements, self.text, self.data, self.open = [], [], "", ""
        self.feed(page)

    def handle_starttag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))
        self.open = "data" if dict(attributes).get("type") == "application/json" else tag

    def handle_endtag(self, tag):
        self.open = ""

    def handle_data(self, data):
        if self.open == "data":
            self.data += data
        elif self.open not in ("script", "style"):
            self.text.append(data)

    def named(self, tag):
        return [attributes for name, attributes in self.elements if name == tag]

    @property
    def words(self):
        return " ".join(" ".join(self.text).split())
