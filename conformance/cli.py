"""The command line: each command maps to one function of the library."""

from __future__ import annotations

import json
import logging
import os
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, NoReturn, cast

import typer
from rich.console import Console
from rich.table import Table

import conformance
from conformance import interrupts, progress
from conformance.errors import ConformanceError
from conformance.options import HELM, KUBE_VERSION, Options
from conformance.redact import REDACTOR

log = logging.getLogger(__name__)

app = typer.Typer(
    name="agents-conformance",
    help=conformance.__doc__,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

Contract = Annotated[Path | None, typer.Option(help="What the chart promises; the reference chart's if left out.")]
Values = Annotated[list[Path] | None, typer.Option(help="One more values file; may be repeated.")]
KubeVersion = Annotated[str, typer.Option(help="Kubernetes minor version of the cluster.")]
HelmVersion = Annotated[int, typer.Option(min=3, max=4, help="Helm's major version.")]
Baseline = Annotated[str | None, typer.Option(metavar="SRC", help="The version upgraded from, likewise.")]
NoInstall = Annotated[bool, typer.Option("--no-install-engine", help="Never install or start a container engine.")]

CHART_HELP = "The candidate: a folder, a .tgz, git:REPO@REF:PATH or oci://…"


@app.callback()
def common(
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Tell every command that is run.")] = False,
) -> None:
    """Set the progress log up, and end on SIGTERM as on Ctrl-C."""
    progress.show(logging.DEBUG if verbose else logging.INFO)
    interrupts.handle()


@app.command()
def run(
    contract: Contract = None,
    chart: Annotated[str | None, typer.Option(metavar="SRC", help=CHART_HELP)] = None,
    baseline: Baseline = None,
    values: Values = None,
    kube_version: KubeVersion = KUBE_VERSION,
    helm: HelmVersion = HELM,
    workers: Annotated[
        int | None, typer.Option("-n", min=1, help="Clusters side by side; two where the machine carries them.")
    ] = None,
    expression: Annotated[
        str | None, typer.Option("-k", metavar="EXPR", help="Only the checks that match.")
    ] = None,
    mark: Annotated[
        str | None, typer.Option("-m", metavar="MARK", help="Only the checks so marked: core.")
    ] = None,
    report_dir: Annotated[Path | None, typer.Option(help="A new or empty folder; `report` if left out.")] = None,
    keep_cluster: Annotated[
        bool, typer.Option("--keep-cluster", help="Keep a cluster in which a check failed.")
    ] = False,
    no_install_engine: NoInstall = False,
) -> None:
    """Judge a chart on real clusters and write the report."""
    from conformance.running import run as judge

    options = Options(
        contract, chart, baseline, tuple(values or ()), kube_version, helm, report_dir, keep_cluster,
        not no_install_engine,
    )  # fmt: skip
    raise typer.Exit(judge(options, workers=workers, expression=expression, mark=mark))


@app.command(name="list")
def list_(
    output: Annotated[str, typer.Option("--format", help="table or json")] = "table",
) -> None:
    """List the checks: id, level, seed and needs."""
    from conformance import catalogue
    from conformance.report import text

    checks = catalogue.load().values()
    if _format(output, "table", "json") == "json":
        said = [
            {"id": check.id, "level": check.level, "kind": check.kind, "seed": check.seed, "needs": check.needs,
             "about": check.about}
            for check in checks
        ]  # fmt: skip
        sys.stdout.write(json.dumps(said, indent=2) + "\n")
        return
    for check in checks:
        sys.stdout.write("\n".join(text.described(check)) + "\n")


@app.command(name="rules")
def rules_(
    chart: Annotated[str, typer.Argument(metavar="CHART", help=CHART_HELP)],
    baseline: Baseline = None,
    values: Values = None,
    contract: Contract = None,
    kube_version: KubeVersion = KUBE_VERSION,
    helm: HelmVersion = HELM,
    output: Annotated[str, typer.Option("--format", help="text or json")] = "text",
) -> None:
    """Judge a chart by the rules alone: no cluster, seconds."""
    from conformance.running import rules as judge

    options = Options(contract, chart, baseline, tuple(values or ()), kube_version, helm)
    raise typer.Exit(judge(options, as_json=_format(output, "text", "json") == "json"))


@app.command()
def mutants(
    ids: Annotated[
        list[str] | None, typer.Argument(metavar="[ID]...", help="Only the mutants that these ids catch.")
    ] = None,
    contract: Contract = None,
    one_each: Annotated[bool, typer.Option("--one-each", help="One mutant for each check.")] = False,
    rules_only: Annotated[
        bool, typer.Option("--rules-only", help="No cluster: the rules on every mutant.")
    ] = False,
    matrix: Annotated[bool, typer.Option("--matrix", help="Every scenario on every mutant (nightly).")] = False,
    workers: Annotated[int | None, typer.Option("-n", min=1, help="Clusters side by side.")] = None,
    helm: HelmVersion = HELM,
) -> None:
    """Break the reference chart in every known way and tell which check catches each."""
    from conformance import mutation

    trials = mutation.mutate(
        ids or (),
        contract_file=contract,
        one_each=one_each,
        rules_only=rules_only,
        matrix=matrix,
        workers=workers,
        helm=helm,
    )
    sys.stdout.write("\n".join(mutation.score(trials)) + "\n")
    raise typer.Exit(0 if all(trial.as_promised for trial in trials) else 1)


@app.command()
def doctor(kube_version: KubeVersion = KUBE_VERSION) -> None:
    """Tell what is here, what is missing and the remedy for each."""
    from conformance import provision

    table = Table("", "what", "found", "remedy", box=None, pad_edge=False)
    rows = provision.doctor(kube_version)
    for row in rows:
        table.add_row("[green]ok[/green]" if row.ok else "[red]no[/red]", row.name, row.found, row.remedy)
    Console().print(table)
    raise typer.Exit(0 if all(row.ok for row in rows) else 3)


@app.command()
def provision(kube_version: KubeVersion = KUBE_VERSION, no_install_engine: NoInstall = False) -> None:
    """Make this machine ready; what is there already is not made again."""
    from conformance import provision

    provision.provision(kube_version, install_engine=not no_install_engine)


@app.command()
def clean(
    everything: Annotated[
        bool, typer.Option("--all", help="Also the registry, the cache and the engine that was started.")
    ] = False,
) -> None:
    """Remove everything this suite created: clusters, kept ones too, and what killed runs left."""
    from conformance.cluster import clean

    for removed in clean(everything=everything):
        sys.stdout.write(f"removed {removed}\n")


def _format(asked: str, *known: str) -> str:
    if asked not in known:
        raise typer.BadParameter(f"{asked!r} is not one of {', '.join(known)}", param_hint="--format")
    return asked


#: What typer raises for a wrong command line: click's or its own, as its version goes, so not to be had by name.
_UsageError = cast("type[typer.BadParameter]", typer.BadParameter.__mro__[1])


@contextmanager
def _one_line_errors() -> Iterator[None]:
    try:
        yield
    except ConformanceError as error:
        _end(str(error), error.exit_status)
    except (KeyboardInterrupt, typer.Abort):
        _end("interrupted", interrupts.INTERRUPTED)
    except _UsageError as error:
        command = error.ctx.command_path if error.ctx else app.info.name
        said = error.format_message().rstrip(".") or "no command was given"
        _end(f"{said}; see `{command} --help`", 2)
    except OSError as error:
        # What could not be written must not be tried again when the interpreter ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        _unexpected(f"{error.filename}: {error.strerror}" if error.filename else str(error))
    except Exception as error:
        place = traceback.extract_tb(error.__traceback__)[-1]
        _unexpected(f"{type(error).__name__}: {error} (at {Path(place.filename).name}:{place.lineno})")


def _unexpected(said: str) -> NoReturn:
    """End as a broken machine does: whatever it was, it does not judge the chart."""
    log.debug("what led to it", exc_info=True)
    _end(f"{said}; nothing was judged, and this is not the chart's doing; `--verbose` says more", 3)


def _end(message: str, status: int) -> NoReturn:
    sys.stderr.write(f"agents-conformance: {' '.join(REDACTOR.scrub(message).split())}\n")
    raise SystemExit(interrupts.INTERRUPTED if interrupts.heard() else status)


def main() -> None:
    """Run the command line."""
    with _one_line_errors():
        status = app(prog_name=app.info.name, standalone_mode=False)
        if status == interrupts.INTERRUPTED:  # as typer answers it
            raise KeyboardInterrupt
        sys.stdout.flush()
        raise SystemExit(status)
