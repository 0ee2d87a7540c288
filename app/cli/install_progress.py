"""How an installation goes: a bar on a terminal, else a line for each phase, or lines of JSON."""

import json
from types import TracebackType
from typing import Any, Self

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from codeserve.app.environments.pip import Step

TOLD_EACH_TIME = ("downloading", "building")
"""Phases of which every package has a line of its own: they take long."""


class InstallDisplay:
    """Shows one installation; a context while it runs."""

    def __init__(self, name: str, as_json: bool) -> None:
        self.as_json = as_json
        self._name = name
        self._shown: set[str] = set()
        self._console = Console(stderr=True)
        text = TextColumn("{task.description}", markup=False)
        self._progress = Progress(
            *(SpinnerColumn(), text, BarColumn(), TimeElapsedColumn()),
            console=self._console,
            transient=True,
            disable=as_json or not self._console.is_terminal,
        )
        self._task = self._progress.add_task(name, total=None)

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._progress.stop()

    def show(self, step: Step) -> None:
        """Show how far the installation is."""
        package = f" {step.package}" if step.package else ""
        if self.as_json:
            _print_json({"event": "progress", "engine": self._name, **_plain(step)})
        elif not self._progress.disable:
            self._progress.update(
                self._task,
                description=f"{self._name}: {step.phase}{package}",
                total=step.total,
                completed=step.done,
            )
        elif step.phase not in self._shown or step.phase in TOLD_EACH_TIME:
            self._shown.add(step.phase)
            typer.echo(f"{self._name}: {step.phase}{package}", err=True)

    def say(self, event: str, text: str, **details: Any) -> None:
        """Tell what begins or has ended: ``text`` to people, ``details`` to programs."""
        if self.as_json:
            _print_json({"event": event, "engine": self._name, "message": text, **details})
        else:
            typer.echo(text)


def _plain(step: Step) -> dict[str, Any]:
    return {name: getattr(step, name) for name in step.__struct_fields__}


def _print_json(value: dict[str, Any]) -> None:
    typer.echo(json.dumps(value, ensure_ascii=False))
