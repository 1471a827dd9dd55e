"""MLflow's server, with a page that opens where a study is seen and that asks for nothing.

Run as a module it is `mlflow server` with another first page: the one that MLflow has, and before
all its scripts one that sets what it keeps in the browser, where the browser holds nothing yet. No
setting of the server does that: the page opens an assistant by itself, begins among tools for
language models, and says that it collects data.

What is private here are a function of MLflow's, its application, and names in its page, of 3.17.
Where one has changed, MLflow's own page is served.
"""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, ParamSpec

from pipeline.tracking.mlflow_page import LIST

if TYPE_CHECKING:
    from fastapi import FastAPI

_Given = ParamSpec("_Given")
_THEIRS = "mlflow.server.fastapi_app:app"
_KEPT = {  # name in the browser's storage, of values that may be changed in the page
    "mlflow.workflowType_v1": "machine_learning",
    "mlflow.assistant.fab.autoOpenedOnFirstLoad_v1": True,
    "mlflow.assistant.panelOpen_v1": False,
    "mlflow.settings.telemetry.enabled_v1": False,
    "mlflow.telemetry.info.alert.dismissed_v1": True,
}
_HIDDEN = (  # the assistant's button; the note that a saved view is a saved view
    "[data-assistant-ui]",
    '[data-component-id="mlflow.experiment_page.shared_view.banner"]',
)
_HEAD = "<head>"
_OPENED = f'if(["","#","#/"].includes(location.hash))location.hash="{LIST}";'
"""Where nothing is asked for, the page opens at the list of studies, not at MLflow's welcome."""


def prepared(page: str) -> str:
    """Return MLflow's first page with what it is to begin with."""
    script = "".join(
        f"localStorage[{json.dumps(name)}] ??= {json.dumps(json.dumps(value))};"
        for name, value in _KEPT.items()
    )
    hidden = ",".join(f":root body {part}" for part in _HIDDEN)  # before the page's own rules
    style = f"{hidden}{{display:none!important}}"
    ours = f"<script>try{{{script}}}catch{{}}{_OPENED}</script><style>{style}</style>"
    return page.replace(_HEAD, _HEAD + ours, 1)


def create() -> "FastAPI":
    """Return MLflow's application with this first page."""
    from mlflow.server import app
    from mlflow.server.fastapi_app import app as theirs

    served: FastAPI = theirs

    path = Path(str(app.static_folder), "index.html")
    if "serve" in app.view_functions and path.is_file():
        page = prepared(path.read_text("utf-8"))
        app.view_functions["serve"] = lambda: app.response_class(page, mimetype="text/html")
    return served


def with_our_page(build: Callable[_Given, list[str]]) -> Callable[_Given, list[str]]:
    """Return MLflow's function that builds uvicorn's command, for our application."""

    def command(*given: _Given.args, **named: _Given.kwargs) -> list[str]:
        words = build(*given, **named)
        return [*words[:-1], "--factory", f"{_module()}:create"] if words[-1] == _THEIRS else words

    return command


def _module() -> str:
    return __spec__.name if __spec__ else __name__


def main() -> None:
    """Run `mlflow server` with the words of the command line."""
    from mlflow import server
    from mlflow.cli import cli

    name = "_build_uvicorn_command"
    if hasattr(server, name):
        setattr(server, name, with_our_page(getattr(server, name)))
    cli(["server", *sys.argv[1:]])


if __name__ == "__main__":
    main()
