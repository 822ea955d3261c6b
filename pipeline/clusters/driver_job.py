"""The driver as a job of a batch system: its script, and how it is submitted.

A job's walltime ends most long runs some time. Before it does the run is stopped, which keeps all
it has, and the job goes back in the queue if it may; every start is with ``--resume``. A job that a
user cancels does not: then the walltime is not what stopped it.
"""

import re
import shlex
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from wavepipe.pipeline.clusters.batch_systems import BATCH_SYSTEMS, BatchSystem, check_path
from wavepipe.pipeline.durable import write_atomically
from wavepipe.pipeline.errors import STOPPED, ClusterError, JobError, RunFolderError
from wavepipe.pipeline.job import Job
from wavepipe.pipeline.job.cluster import BATCH_KINDS
from wavepipe.pipeline.resume import check_free, is_finished
from wavepipe.pipeline.run_folder import RunFolder

DIRECTIVE_KEYS = {"cores", "memory", "queue", "account"}
"""Of ``cluster.driver``, which a batch system's directives may have no word for."""

SCRIPT = """\
#!/bin/bash
{directives}
{prologue}
cd {folder} || exit 2
{before}
ended=""  # whether the walltime is why the run is stopped
asked="" driver=""
stop() {{ asked=1; [ -z "$driver" ] || kill -TERM "$driver" 2>/dev/null; }}
trap 'ended=1; stop' USR1
trap stop TERM INT
{command} &
driver=$!
[ -z "$asked" ] || stop  # the signal came before there was a driver

while :; do  # a signal ends wait, but not the driver
    wait "$driver"
    status=$?
    [ "$status" -gt 128 ] && kill -0 "$driver" 2>/dev/null || break
done
wait "$driver"  # if it ended with the signal, its own status counts
last=$?
[ "$last" -eq 127 ] || status=$last
{requeue}exit "$status"
"""

BEFORE = """
batches() {{ cat {events} 2>/dev/null | grep -c '"event": "batch"'; }}
before=$(batches)
"""

REQUEUE = f"""{{clock}}
if [ -n "$ended" ] && [ "$status" -eq {STOPPED} ]; then
    if [ "$(batches)" = "$before" ]; then  # it would be so for ever
        echo "No batch was done in this job's walltime, so it does not go back in the queue." >&2
        exit "$status"
    fi
    {{again}}
fi
"""

DESCRIPTION = "{directives}\nqueue\n"
"""Of HTCondor, which has its directives in a file of their own."""


@dataclass(frozen=True)
class Driver:
    """The driver's job of a run."""

    job: Job
    kind: str
    """Of the batch system."""
    arguments: tuple[str, ...] = ()
    """Options of the command beside the job file."""

    @property
    def system(self) -> BatchSystem:
        """The batch system's words."""
        return BATCH_SYSTEMS[self.kind]

    @property
    def logs(self) -> Path:
        """Folder of what the driver says."""
        return self.job.output_folder / "logs"

    @property
    def script_path(self) -> Path:
        """Where the script goes."""
        return self.job.output_folder / "driver.sh"

    def files(self) -> dict[Path, str]:
        """Text of the script, and of the file that is submitted where that is another.

        Raises
        ------
        JobError
            The batch system has no word for something that is asked, or could not read the path.
        """
        check_path(self.job.output_folder, self.kind)
        section, apart = self.job.cluster.driver, not self.system.prefix
        prologue = section.prologue or self.job.cluster.jobs.prologue
        directives = "\n".join(self._directives())
        script = SCRIPT.format(
            directives="" if apart else directives,
            prologue="\n".join(prologue or ()),
            folder=shlex.quote(str(Path.cwd())),
            command=shlex.join(self._command()),
            before=self._before() if section.requeue else "",
            requeue=self._requeue() if section.requeue else "",
        )
        found = {self.script_path: re.sub(r"\n{3,}", "\n\n", script)}
        if apart:
            found[self.script_path.with_suffix(".sub")] = DESCRIPTION.format(directives=directives)
        return found

    def _directives(self) -> list[str]:
        section, jobs = self.job.cluster.driver, self.job.cluster.jobs
        for key in sorted(section.model_fields_set & DIRECTIVE_KEYS):
            if getattr(section, key) is not None and not self.system.has_line(key):
                raise JobError(
                    f"cluster.driver.{key} is nothing that {self.kind} knows by itself; leave it "
                    "out, and say it in the site's words in cluster.driver.directives."
                )
        given = {
            "name": re.sub(r"[^\w.-]", "-", f"wavepipe-{self.job.path.stem}", flags=re.ASCII),
            "logs": self.logs,
            "script": self.script_path,
            "cores": section.cores,
            "memory": -(-section.memory // 10**6),
            "walltime": section.walltime,
            "warning": section.warning,
            "queue": section.queue or jobs.queue,
            "account": section.account or jobs.account,
        }
        more = [f"{self.system.prefix}{line}" for line in section.directives or ()]
        return [*self.system.directives(section.requeue, given), *more]

    @property
    def _seconds(self) -> int | None:
        """After which the script stops the run, where the batch system gives no sign."""
        section = self.job.cluster.driver
        if section.walltime is None or self.system.warns:
            return None
        return section.walltime - section.warning

    def _before(self) -> str:
        """Commands that count what was done before this job."""
        return BEFORE.format(events=shlex.quote(str(RunFolder(self.job.output_folder).events)))

    def _requeue(self) -> str:
        """Commands that put the job back in the queue."""
        if self._seconds is None and not self.system.warns:
            raise JobError(
                f"cluster.driver.requeue of {self.job.path.name} needs cluster.driver.walltime on "
                f"{self.kind}, which does not say when it will end a job."
            )
        clock = "" if self._seconds is None else f'\n[ "$SECONDS" -lt {self._seconds} ] || ended=1'
        script = shlex.quote(str(self.script_path))
        return REQUEUE.format(clock=clock, again=self.system.again.format(script=script))

    def _command(self) -> list[str]:
        clock = []
        if self._seconds is not None:
            # Else timeout ends the workers too, with the batches that they have in flight.
            clock = ["timeout", "--foreground", "--preserve-status", str(self._seconds)]
        program = [sys.executable, "-m", "wavepipe.cli", self.job.kind, str(self.job.path)]
        return [*clock, *program, *self.arguments, "--resume"]

    def submit(self) -> str:
        """Write the files and submit them; what the batch system says.

        Raises
        ------
        ClusterError
            The batch system is not there, or refuses the job.
        RunFolderError
            The run is finished, or is at work.
        """
        folder = RunFolder(self.job.output_folder)
        check_free(folder)
        if is_finished(folder, self.job):
            raise RunFolderError(f"the run in {folder.path} is finished; nothing is left to do.")
        self.logs.mkdir(parents=True, exist_ok=True)
        for path, text in self.files().items():
            write_atomically(path, text.encode())
            path.chmod(0o755)
        last = list(self.files())[-1]
        words = self.system.submit.removesuffix("<").split()
        from_stdin = self.system.submit.endswith("<")
        try:
            with last.open() as script:
                done = subprocess.run(
                    words if from_stdin else [*words, str(last)],
                    stdin=script if from_stdin else subprocess.DEVNULL,
                    capture_output=True,
                    text=True,
                    check=False,
                )
        except FileNotFoundError as error:
            raise ClusterError(
                f"{self.kind} jobs are submitted with '{words[0]}', and this machine has no such "
                f"command. Submit {last} on a machine that has."
            ) from error
        if done.returncode:
            said = " ".join((done.stderr or done.stdout).split())
            raise ClusterError(f"'{words[0]}' refuses {last}: {said}")
        return done.stdout.strip()


def batch_kind(job: Job, asked: str | None) -> str:
    """Batch system that a driver goes to.

    Parameters
    ----------
    job
        Its ``cluster.kind`` counts where nothing is asked.
    asked
        On the command line.

    Raises
    ------
    JobError
        There is none.
    """
    kind = asked or job.cluster.kind
    if kind not in BATCH_KINDS:
        raise JobError(
            f"cluster.kind of {job.path.name} is {kind!r}, which is no batch system; say with --on "
            f"which one the driver is a job of: {', '.join(BATCH_KINDS)}."
        )
    return kind
