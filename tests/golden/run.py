"""A golden run: a fixed list of jobs of one checkout's `cli.py`, whose results another checkout's are held against.

    python -m tests.golden.run --checkout DIR --out FOLDER [--data DIR]
    python -m tests.golden.compare FOLDER OTHER

FOLDER gets inputs/ (images), out/ (what the jobs wrote), terminal/ (what they printed) and done/ (a note of each job
that went well). A job that has its note is skipped, so that a run that was stopped goes on by the same command. Of the
checkout nothing but `cli.py` is used: both runs are of the same jobs, whichever checkout this file lies in.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shlex
import shutil
import subprocess
import sys
import time
from pathlib import Path

from tests.golden.inputs import make_inputs
from tests.golden.jobs import Job, jobs

ENVIRONMENT = {
    "OMP_NUM_THREADS": "1",  # sums of several threads come in any order
    "MKL_NUM_THREADS": "1",
    "PYTHONHASHSEED": "0",
    "PYTHONDONTWRITEBYTECODE": "1",  # a checkout stays as it is
    "HF_HUB_OFFLINE": "1",
    "MPLBACKEND": "Agg",
    "COLUMNS": "120",
    "TERM": "dumb",
    "CUDA_VISIBLE_DEVICES": "",
}
DROPPED = ("PYTHONPATH",)  # would name packages of another checkout


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--checkout", type=Path, required=True, help="whose cli.py is run")
    parser.add_argument("--out", type=Path, required=True, help="the folder of the run")
    parser.add_argument("--data", type=Path, help="real data sets; without, only generated images are seen")
    parser.add_argument("--only", action="append", default=[], choices=[job.name for job in jobs(True)], help="a job")
    asked = parser.parse_args()
    if not (asked.checkout / "cli.py").is_file():
        parser.error(f"--checkout is {str(asked.checkout)!r}, which has no cli.py")
    listed = [job for job in jobs(asked.data is not None) if not asked.only or job.name in asked.only]
    return run(asked.checkout.resolve(), asked.out.resolve(), asked.data, listed)


def run(checkout: Path, folder: Path, data: Path | None, listed: list[Job]) -> int:
    """Do every job that is not done; the exit code: 1 where any has failed."""
    for inside in ("out", "terminal", "done"):
        (folder / inside).mkdir(parents=True, exist_ok=True)
    if not (folder / "inputs").exists():
        unfinished = folder / "inputs.unfinished"
        shutil.rmtree(unfinished, ignore_errors=True)
        make_inputs(unfinished, data)
        unfinished.rename(folder / "inputs")
    failed, begun = [], time.monotonic()
    for job in listed:
        if (folder / "done" / f"{job.name}.json").exists():
            print(f"    done  {job.name}")
        elif do(job, checkout, folder):
            failed.append(job.name)
    print(f"{spent_line(time.monotonic() - begun, processor_seconds())}  all; failed: {', '.join(failed) or 'none'}")
    return int(bool(failed))


def do(job: Job, checkout: Path, folder: Path) -> int:
    """Run a job from the folder of the run; its exit code."""
    clear(job, folder)
    environment = {key: value for key, value in os.environ.items() if key not in DROPPED} | ENVIRONMENT
    line, begun, spent = [sys.executable, str(checkout / "cli.py"), *job.words], time.monotonic(), processor_seconds()
    with (
        (folder / "terminal" / f"{job.name}.out").open("w") as out,
        (folder / "terminal" / f"{job.name}.err").open("w") as err,
    ):
        code = subprocess.run(line, cwd=folder, env=environment, stdout=out, stderr=err, check=False).returncode
    seconds, exited = time.monotonic() - begun, f"  EXIT {code}" if code else ""
    line_said = shlex.join(["cli.py", *job.words])
    print(f"{spent_line(seconds, processor_seconds() - spent)}  {line_said}{exited}", flush=True)
    for stream in ("out", "err"):
        without_places(folder / "terminal" / f"{job.name}.{stream}", checkout, folder)
    if code:
        print((folder / "terminal" / f"{job.name}.err").read_text()[-2000:], file=sys.stderr)
    else:
        note = {"command": list(job.words), "seconds": round(seconds, 1)}
        (folder / "done" / f"{job.name}.json").write_text(json.dumps(note, indent=1))
    return code


def spent_line(seconds: float, of_core: float) -> str:
    return f"{seconds:6.1f} s ({of_core:5.1f} s of a core)"


def processor_seconds() -> float:
    """Of all jobs that have ended: on a busy machine it says more than wall time."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def clear(job: Job, folder: Path) -> None:
    """Remove what a stopped job has left: a fit would not begin again in its folder."""
    shutil.rmtree(folder / job.out, ignore_errors=True)
    for left in (folder / "out").glob(f"{job.name}.*"):
        left.unlink()


def without_places(path: Path, checkout: Path, folder: Path) -> None:
    """Call the two folders by what they are, in what a job has printed."""
    text = path.read_text().replace(str(checkout), "CHECKOUT").replace(str(folder), "FOLDER")
    path.write_text(text)


if __name__ == "__main__":
    sys.exit(main())
