"""HTML as a strict reader sees it: what is open, what it says, and what it would load."""

from html.parser import HTMLParser

_EMPTY = {"meta", "br", "col", "input"}
_LOADS = {"src", "href", "data", "srcset", "action", "poster"}


class Read(HTMLParser):
    """A document that was read.

    mistakes: what is not balanced.
    ids: values of `id`, in order.
    loaded: addresses that it would load or lead to.
    tags: how many elements of each name there are.
    text: all that is between the tags.
    """

    def __init__(self, document):
        super().__init__()
        self.mistakes, self.ids, self.loaded, self.tags, self.text = [], [], [], {}, ""
        self._open = []
        self.feed(document)
        self.close()
        self.mistakes += [f"never closed: {tag}" for tag in self._open]

    def handle_starttag(self, tag, attrs):
        if tag not in _EMPTY:
            self._open.append(tag)
        self._note(tag, attrs)

    def handle_startendtag(self, tag, attrs):
        self._note(tag, attrs)

    def handle_endtag(self, tag):
        if not self._open or self._open[-1] != tag:
            self.mistakes.append(f"</{tag}> closes {self._open[-1:]} at {self.getpos()}")
        else:
            self._open.pop()

    def handle_data(self, data):
        self.text += data

    def _note(self, tag, attrs):
        self.tags[tag] = self.tags.get(tag, 0) + 1
        self.ids += [value for name, value in attrs if name == "id"]
        self.loaded += [value for name, value in attrs if name in _LOADS]
        names = [name for name, _ in attrs]
        if len(set(names)) < len(names):
            self.mistakes.append(f"an attribute twice in {tag} at {self.getpos()}")
