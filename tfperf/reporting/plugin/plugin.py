"""The TensorBoard plugin: the addresses behind the tfperf tab."""

from __future__ import annotations

import json
import pathlib
import shlex
import threading
from collections.abc import Callable, Iterable
from importlib import resources
from typing import TYPE_CHECKING, Any

from tensorboard import plugin_util
from tensorboard.backend import http_util
from tensorboard.plugins import base_plugin
from werkzeug import wrappers

from tfperf import manifest, telemetry_log
from tfperf.reporting.plugin import directories, downloads, exhibits, files, latencies, page, recorded_machine
from tfperf.reporting.plugin.directories import FoundRun

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication

NAME = "tfperf"
ENTRY = "/page.js"

_TYPES = {".js": "text/javascript", ".css": "text/css"}
_PLOTLY_SECONDS = 24 * 3600
_MOST_DIFFERENCES = 20


class Plugin(base_plugin.TBPlugin):  # type: ignore[misc]  # tensorboard has no types
    """The tfperf tab.

    Addresses, below TensorBoard's `data/plugin/tfperf`: `/runs`, the logdirs and their runs; `/run?key=K`, one run;
    `/manifest?key=K`, whether its files are unchanged; `/file?key=K&name=N`, one of its files as it is;
    `/picture?key=K&name=N`, one of its pictures at the newest evaluation; and the files of the page.

    Args:
        context: TensorBoard's context. The plugin uses `logdir`, `flags` and `data_provider`.
    """

    plugin_name = NAME

    def __init__(self, context: base_plugin.TBContext) -> None:
        spec = getattr(context.flags, "logdir_spec", None)
        self._roots = directories.roots(logdir=context.logdir, logdir_spec=spec)
        self._data = context.data_provider
        self._summaries = Cache(page.summary)
        self._details = Cache(page.details)
        self._series = Cache(recorded_machine.series, names=(telemetry_log.NAME,))
        self._hashing = threading.Lock()
        self._seen = False

    def get_plugin_apps(self) -> dict[str, WSGIApplication]:
        """The application behind each address."""
        static = resources.files(__package__).joinpath("static")
        pages = {f"/{file.name}": _static(file.read_bytes, file.name) for file in static.iterdir()}
        return {
            **pages,
            "/plotly.min.js": _static(_plotly, "plotly.min.js", expires_s=_PLOTLY_SECONDS),
            "/runs": wrappers.Request.application(self._serve_runs),
            "/run": wrappers.Request.application(self._serve_run),
            "/manifest": wrappers.Request.application(self._serve_manifest),
            "/picture": wrappers.Request.application(self._serve_picture),
            "/file": wrappers.Request.application(self._serve_file),
        }

    def is_active(self) -> bool:
        """Whether there is a run to show. Stops searching at the first one."""
        self._seen = self._seen or any(True for _ in self._find())
        return self._seen

    def frontend_metadata(self) -> base_plugin.FrontendMetadata:
        """Where the page is. It follows live runs itself, so TensorBoard need not reload it."""
        return base_plugin.FrontendMetadata(es_module_path=ENTRY, tab_name=NAME, disable_reload=True)

    def _serve_runs(self, request: wrappers.Request) -> wrappers.Response:
        found = [self._summaries.of(run) for run in self._find()]
        answer = {"logdirs": [path for _, path in self._roots], "command": self._command(), "runs": page.listed(found)}
        return _respond(request, answer)

    def _serve_run(self, request: wrappers.Request) -> wrappers.Response:
        run = self._requested(request)
        if run is None:
            return _unknown(request)
        shown = {**self._details.of(run), "files": downloads.names(run), "machine_series": self._series.of(run)}
        if shown["kind"] == "infer" and self._data is not None:
            shown = {**shown, "distribution": self._distribution(request, run)}
        if shown["kind"] == "train" and self._data is not None:
            shown = {**shown, **exhibits.shown(self._data, **self._evaluations(request, run))}
        return _respond(request, shown)

    def _serve_picture(self, request: wrappers.Request) -> wrappers.Response:
        run = self._requested(request)
        if run is None or self._data is None:
            return _unknown(request)
        name = request.args.get("name", "")
        found = exhibits.picture(self._data, name=name, **self._evaluations(request, run))
        if found is None:
            return _respond(request, {"error": "The run has no such picture."}, code=404)
        return _response(request, *found)

    def _evaluations(self, request: wrappers.Request, run: FoundRun) -> dict[str, Any]:
        """Where TensorBoard's data provider finds what the evaluations show."""
        return {
            "request": plugin_util.context(request.environ),
            "experiment_id": plugin_util.experiment_id(request.environ),
            "board_run": run.board_run("validation"),
        }

    def _serve_manifest(self, request: wrappers.Request) -> wrappers.Response:
        run = self._requested(request)
        if run is None:
            return _unknown(request)
        with self._hashing:
            return _respond(request, _manifest(run))

    def _serve_file(self, request: wrappers.Request) -> wrappers.Response:
        run, name = self._requested(request), request.args.get("name", "")
        if run is None:
            return _unknown(request)
        if name not in downloads.names(run):
            return _respond(request, {"error": "The run has no such file that is served."}, code=404)
        try:
            content = downloads.content(run, name, within=[path for _, path in self._roots])
        except files.Unreadable as error:
            return _respond(request, {"error": str(error)}, code=403)
        # As text, whatever it holds: a browser then runs nothing in it.
        return _response(request, content, "text/plain")

    def _distribution(self, request: wrappers.Request, run: FoundRun) -> list[tuple[float, float]]:
        return latencies.distribution(
            self._data,
            plugin_util.context(request.environ),
            experiment_id=plugin_util.experiment_id(request.environ),
            board_run=run.board_run("serving"),
        )

    def _command(self) -> str:
        """A command that writes a run where this TensorBoard finds it."""
        here = next((path for _, path in self._roots if "://" not in path), None)
        where = [] if here is None else ["--output_dir", here]
        return shlex.join(["tfperf", "train", "--config", "resnet50-mini", *where])

    def _requested(self, request: wrappers.Request) -> FoundRun | None:
        """The requested run. Whatever the address says, only runs found below the logdir are served."""
        key = request.args.get("key")
        return next((run for run in self._find() if run.key == key), None)

    def _find(self) -> Iterable[FoundRun]:
        for name, path in self._roots:
            yield from directories.find(name, path)


class Cache:
    """Keeps what was made of a run until one of the files changes that it was made of."""

    def __init__(self, make: Callable[[FoundRun], dict[str, Any]], *, names: tuple[str, ...] = page.READ) -> None:
        self._make, self._names = make, names
        self._made: dict[str, tuple[tuple[files.Stamp | None, ...], dict[str, Any]]] = {}

    def of(self, run: FoundRun) -> dict[str, Any]:
        """What `make` returns for the run."""
        # Before reading, so that a change in between is noticed the next time.
        stamped = files.stamps(run, *self._names)
        known = self._made.get(run.path)
        if known is None or known[0] != stamped or not files.are_reliable(stamped):
            known = (stamped, self._make(run))
            self._made[run.path] = known
        return known[1]


def _manifest(run: FoundRun) -> dict[str, str]:
    """The item of the checklist that is too slow for the page, since it reads every file of the run."""
    text = "the files are as they were when the manifest was written"
    if "://" in run.path:
        return {"state": "unknown", "text": text, "because": "not checked: the run is not on this machine"}
    try:
        found = manifest.differences(pathlib.Path(run.path))
    except FileNotFoundError:
        return {"state": "unknown", "text": text, "because": f"there is no {manifest.NAME}"}
    except (OSError, ValueError) as error:
        return {"state": "no", "text": text, "because": f"{manifest.NAME} can't be read: {error}"[:500]}
    more = [f"and {len(found) - _MOST_DIFFERENCES} more"] if len(found) > _MOST_DIFFERENCES else []
    because = "; ".join([*found[:_MOST_DIFFERENCES], *more])
    return {"state": "no" if found else "yes", "text": text, "because": because}


def _static(read: Callable[[], bytes], name: str, *, expires_s: int = 0) -> WSGIApplication:
    content_type = _TYPES[pathlib.PurePath(name).suffix]

    def serve(request: wrappers.Request) -> wrappers.Response:
        return _response(request, read(), content_type, expires_s=expires_s)

    return wrappers.Request.application(serve)


def _plotly() -> bytes:
    """The script of the installed plotly, so that it needs no network."""
    return resources.files("plotly").joinpath("package_data", "plotly.min.js").read_bytes()


def _respond(request: wrappers.Request, content: dict[str, Any], *, code: int = 200) -> wrappers.Response:
    return _response(request, json.dumps(content, allow_nan=False).encode(), "application/json", code=code)


def _unknown(request: wrappers.Request) -> wrappers.Response:
    return _respond(request, {"error": "There is no such run below the logdir."}, code=404)


def _response(
    request: wrappers.Request, content: bytes, content_type: str, *, code: int = 200, expires_s: int = 0
) -> wrappers.Response:
    made: wrappers.Response = http_util.Respond(request, content, content_type, code=code, expires=expires_s)
    return made
