"""How long the Makefile's commands take on a lab, beside an earlier commit with Ansible's own strategy.

`make bench-provision` runs it: two clones, two labs, the commands in turns, the median of ROUNDS; `make up` once. The
table is printed, and its figures are written to bench/results/provision.json. The labs are removed at the end. If it is
interrupted, it goes on after the last lab whose `make up` was measured.
"""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

import docker

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "bench/results/provision.json"
UPS = RESULTS.with_name("provision-up.json")
BASELINE = os.environ.get("BASELINE", "2b5fe26")
ROUNDS = int(os.environ.get("ROUNDS", "3"))
# What a host keeps of earlier downloads
CACHES = ("/var/cache/apt/archives", "/var/cache/prefect-uv")
# At most this many times the baseline, and at most so many seconds
BARS: dict[str, tuple[float | None, float | None]] = {
    "make up, from nothing": (0.6, None),
    "make up, images there": (0.5, None),
    "make provision, a bare host": (0.5, None),
    "make provision, nothing to change": (0.2, 20),
    "make status": (None, 6),
    "make plan, nothing to change": (None, 10),
    "make deploy-flows, nothing to change": (None, 15),
}
# Files that differ on any two hosts: identities, times, certificates, byte code
OF_ONE_HOST = "|".join(
    (
        "/etc/(ssh/ssh_host_.*|machine-id|hostname|hosts|resolv.conf|ld.so.cache|(shadow|passwd|group|gshadow)-?)",
        "/etc/(letsencrypt|ssl/certs|ssl/private|nginx/tls|apparmor.d/cache)/.*|/etc/prefect/.*[.]env|/etc/pgbackrest.*",
        ".*/__pycache__/.*|.*[.]complete",
    )
)
LOOK = f"""
other() {{ find "$@" -regextype posix-extended -not -regex '{OF_ONE_HOST}'; }}
other /etc /opt/prefect /usr/local | xargs -d '\\n' stat --format='%N %F %a %U:%G'
other /etc /usr/local /opt/prefect/platform -type f | xargs -d '\\n' sha256sum
systemctl list-unit-files --no-legend --no-pager | awk '{{print "unit", $1, $2}}'
systemctl list-units --no-legend --no-pager --plain --type=service,timer | awk '{{print "state", $1, $3}}'
dpkg-query --show --showformat='package ${{Package}} ${{Version}}\\n'
"""


@dataclass
class Lab:
    """A clone and its lab."""

    clone: Path
    name: str
    ports: int
    strategy: str | None = None
    seconds: dict[str, list[float]] = field(default_factory=dict)

    @property
    def commit(self) -> str:
        """The clone's commit."""
        command = ["git", "rev-parse", "HEAD"]
        return subprocess.run(command, cwd=self.clone, capture_output=True, text=True, check=True).stdout.strip()  # noqa: S603

    def make(self, *arguments: str, note: str | None = None) -> None:
        """Run a command of the Makefile; `note` says under what its time is kept. Ends the program if it fails."""
        settings = {"LAB_NAME": self.name, "LAB_PORT_OFFSET": str(self.ports), "ENV": "lab"}
        if self.strategy:
            settings["ANSIBLE_STRATEGY"] = self.strategy
        clean = {name: text for name, text in os.environ.items() if not name.startswith(("MAKE", "MFLAGS", "LAB_"))}
        for name in ("STATE_DIR", "ANSIBLE_CONFIG", "ANSIBLE_HOME", "PREFECT_HOME"):
            clean.pop(name, None)
        start = time.perf_counter()
        done = subprocess.run(  # noqa: S603
            ["make", *arguments],  # noqa: S607
            cwd=self.clone,
            env=clean | settings,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        taken = time.perf_counter() - start
        if done.returncode:
            sys.exit(f"make {' '.join(arguments)} failed in {self.clone}:\n{done.stdout[-3000:]}")
        if note:
            self.seconds.setdefault(note, []).append(round(taken, 1))
            print(f"{self.name}: {note}: {taken:.1f} s", file=sys.stderr, flush=True)

    @property
    def host(self) -> docker.models.containers.Container:
        """The container of its host."""
        return docker.from_env().containers.get(f"{self.name}-host")

    def renew(self, caches: dict[str, bytes]) -> None:
        """A bare host in place of the one that is there, with these downloads on its disk."""
        self.host.remove(force=True)
        self.make("lab")
        for folder, archive in caches.items():
            self.host.exec_run(["mkdir", "-p", folder])
            self.host.put_archive(str(Path(folder).parent), archive)

    def look(self) -> set[str]:
        """Files, units and packages of its host."""
        lines = self.host.exec_run(["bash", "-c", LOOK]).output.decode().splitlines()
        return {line.replace(self.name, "lab") for line in lines}


def clone_of(commit: str) -> Path:
    """The commit in a folder of its own, made once."""
    folder = ROOT / ".cache/bench" / commit
    if not folder.exists():
        subprocess.run(["git", "clone", "--quiet", ROOT, folder], check=True)  # noqa: S603, S607
        subprocess.run(["git", "checkout", "--quiet", commit], cwd=folder, check=True)  # noqa: S603, S607
    return folder


def remove_images() -> None:
    """As on a machine that has never made a lab; all that have no name go too, and what builds have kept."""
    engine = docker.from_env()
    for image in engine.images.list():
        if any(tag.startswith("prefect-lab/") for tag in image.tags):
            engine.images.remove(image.id, force=True)
    engine.images.prune()
    engine.api.prune_builds()


def measure_up(lab: Lab) -> None:
    """A lab from nothing, and again; no other lab is up, whose images could not be removed."""
    lab.make("down")
    remove_images()
    lab.make("up", note="make up, from nothing")
    lab.make("down")
    lab.make("up", note="make up, images there")
    lab.make("down")


def measure(ours: Lab, baseline: Lab) -> list[str]:
    """All rounds, in turns; the differences between a host made with Mitogen and one made without."""
    pair = (baseline, ours)
    measured = json.loads(UPS.read_text()) if UPS.exists() else {}
    for lab in pair:
        if lab.commit not in measured:
            measure_up(lab)
            measured[lab.commit] = lab.seconds
            UPS.parent.mkdir(exist_ok=True)
            UPS.write_text(json.dumps(measured))
        lab.seconds = measured[lab.commit]
    for lab in pair:
        lab.make("up")
    caches = {folder: b"".join(ours.host.get_archive(folder)[0]) for folder in CACHES}
    for _ in range(ROUNDS):
        for lab in pair:
            lab.make("provision", note="make provision, nothing to change")
            lab.make("status", note="make status")
            lab.make("plan", note="make plan, nothing to change")
            lab.make("deploy-flows", note="make deploy-flows, nothing to change")
    for _ in range(ROUNDS):
        for lab in pair:
            lab.renew(caches)
            lab.make("provision", note="make provision, a bare host")
    return differences(ours, caches)


def differences(lab: Lab, caches: dict[str, bytes]) -> list[str]:
    """What is on a host made with Mitogen and not on one made with Ansible's own strategy, or the other way round."""
    mitogen = lab.look()
    lab.renew(caches)
    lab.strategy = "linear"
    lab.make("provision", note="make provision, a bare host, ANSIBLE_STRATEGY=linear")
    lab.make("provision", note="make provision, nothing to change, ANSIBLE_STRATEGY=linear")
    linear = lab.look()
    print(f"\n{len(mitogen & linear)} of {len(mitogen | linear)} files, units and packages are the same with both.")
    return sorted(mitogen ^ linear)


def table(ours: Lab, baseline: Lab) -> Iterator[str]:
    """The medians as lines of Markdown."""
    yield f"| command | seconds | at {BASELINE}, s | times that | rounds |"
    yield "|---|---|---|---|---|"
    for what, taken in ours.seconds.items():
        before = baseline.seconds.get(what)
        ratio = f"{median(taken) / median(before):.2f}" if before else ""
        yield (
            f"| {what} | {median(taken):.1f} | {median(before):.1f} | {ratio} | {len(taken)} |"
            if before
            else (f"| {what} | {median(taken):.1f} | | | {len(taken)} |")
        )


def bars(ours: Lab, baseline: Lab) -> Iterator[tuple[str, bool]]:
    """What was to be reached, and whether it was."""
    for what, (ratio, seconds) in BARS.items():
        taken, before = median(ours.seconds[what]), median(baseline.seconds[what])
        if ratio:
            yield f"{what}: {taken / before:.2f} times the baseline, at most {ratio}", taken <= ratio * before
        if seconds:
            yield f"{what}: {taken:.1f} s, at most {seconds} s", taken <= seconds


def main() -> None:
    """Measure, print the table, keep the figures."""
    ours = Lab(ROOT, "prefect-bench", 40000)
    baseline = Lab(clone_of(BASELINE), "prefect-bench-before", 41000, strategy="linear")
    try:
        different = measure(ours, baseline)
    finally:
        for lab in (ours, baseline):
            lab.make("down")
    judged = [*bars(ours, baseline), ("Mitogen and linear make the same host", not different)]
    print("\n## Commands of the Makefile\n", *table(ours, baseline), "", sep="\n")
    print(*different[:40], sep="\n")
    print(*(f"- {text}: {'met' if met else 'NOT MET'}" for text, met in judged), sep="\n")
    figures = {"seconds": ours.seconds, BASELINE: baseline.seconds, "bars": dict(judged), "processors": os.cpu_count()}
    RESULTS.write_text(json.dumps(figures, indent=1))
    UPS.unlink()
    sys.exit(not all(met for _, met in judged))


if __name__ == "__main__":
    main()
