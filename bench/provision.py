"""How long the Makefile's commands take on a lab, beside an earlier commit with Ansible's own strategy.

`make bench-provision` runs it: two clones, two labs, the commands in turns, the median of ROUNDS; `make up` once. The
program prints a table, writes its figures to bench/results/provision.json, and removes the labs at the end. After an
interruption it continues after the last lab whose `make up` it measured.
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
# Where a host keeps earlier downloads
CACHES = ("/var/cache/apt/archives", "/var/cache/prefect-uv")
# The greatest ratio to the baseline, and the greatest number of seconds
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
HOST_SPECIFIC = "|".join(
    (
        "/etc/(ssh/ssh_host_.*|machine-id|hostname|hosts|resolv.conf|ld.so.cache|(shadow|passwd|group|gshadow)-?)",
        "/etc/(letsencrypt|ssl/certs|ssl/private|nginx/tls|apparmor.d/cache)/.*|/etc/prefect/.*[.]env|/etc/pgbackrest.*",
        ".*/__pycache__/.*|.*[.]complete",
    )
)
INSPECT = f"""
other() {{ find "$@" -regextype posix-extended -not -regex '{HOST_SPECIFIC}'; }}
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
        """Run a command of the Makefile; `note` names its time in the results. Ends the program if it fails."""
        settings = {"LAB_NAME": self.name, "LAB_PORT_OFFSET": str(self.ports), "ENV": "lab"}
        if self.strategy:
            settings["ANSIBLE_STRATEGY"] = self.strategy
        environment = {
            name: text for name, text in os.environ.items() if not name.startswith(("MAKE", "MFLAGS", "LAB_"))
        }
        for name in ("STATE_DIR", "ANSIBLE_CONFIG", "ANSIBLE_HOME", "PREFECT_HOME"):
            environment.pop(name, None)
        start = time.perf_counter()
        process = subprocess.run(  # noqa: S603
            ["make", *arguments],  # noqa: S607
            cwd=self.clone,
            env=environment | settings,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        duration = time.perf_counter() - start
        if process.returncode:
            sys.exit(f"make {' '.join(arguments)} failed in {self.clone}:\n{process.stdout[-3000:]}")
        if note:
            self.seconds.setdefault(note, []).append(round(duration, 1))
            print(f"{self.name}: {note}: {duration:.1f} s", file=sys.stderr, flush=True)

    @property
    def host(self) -> docker.models.containers.Container:
        """The container of its host."""
        return docker.from_env().containers.get(f"{self.name}-host")

    def renew(self, caches: dict[str, bytes]) -> None:
        """Replace the host by a bare one, with these downloads on its disk."""
        self.host.remove(force=True)
        self.make("lab")
        for folder, archive in caches.items():
            self.host.exec_run(["mkdir", "-p", folder])
            self.host.put_archive(str(Path(folder).parent), archive)

    def contents(self) -> set[str]:
        """Files, units and packages of its host."""
        lines = self.host.exec_run(["bash", "-c", INSPECT]).output.decode().splitlines()
        return {line.replace(self.name, "lab") for line in lines}


def clone_of(commit: str) -> Path:
    """A clone of the commit, made once."""
    folder = ROOT / ".cache/bench" / commit
    if not folder.exists():
        subprocess.run(["git", "clone", "--quiet", ROOT, folder], check=True)  # noqa: S603, S607
        subprocess.run(["git", "checkout", "--quiet", commit], cwd=folder, check=True)  # noqa: S603, S607
    return folder


def remove_images() -> None:
    """Remove the lab's images, all images without a name, and the build cache, as on a machine that never had a lab."""
    engine = docker.from_env()
    for image in engine.images.list():
        if any(tag.startswith("prefect-lab/") for tag in image.tags):
            engine.images.remove(image.id, force=True)
    engine.images.prune()
    engine.api.prune_builds()


def measure_up(lab: Lab) -> None:
    """Measure `make up` without images and with them. No other lab is up, because its images could not be removed."""
    lab.make("down")
    remove_images()
    lab.make("up", note="make up, from nothing")
    lab.make("down")
    lab.make("up", note="make up, images there")
    lab.make("down")


def measure(ours: Lab, baseline: Lab) -> list[str]:
    """Measure all rounds, in turns; returns the differences between a host made with Mitogen and one made without."""
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
    """The differences between a host made with Mitogen and one made with Ansible's own strategy."""
    mitogen = lab.contents()
    lab.renew(caches)
    lab.strategy = "linear"
    lab.make("provision", note="make provision, a bare host, ANSIBLE_STRATEGY=linear")
    lab.make("provision", note="make provision, nothing to change, ANSIBLE_STRATEGY=linear")
    linear = lab.contents()
    print(f"\n{len(mitogen & linear)} of {len(mitogen | linear)} files, units and packages are the same with both.")
    return sorted(mitogen ^ linear)


def table(ours: Lab, baseline: Lab) -> Iterator[str]:
    """The medians as lines of Markdown."""
    yield f"| command | seconds | at {BASELINE}, s | times that | rounds |"
    yield "|---|---|---|---|---|"
    for command, durations in ours.seconds.items():
        seconds, rounds = median(durations), len(durations)
        if earlier := baseline.seconds.get(command):
            ratio = seconds / median(earlier)
            yield f"| {command} | {seconds:.1f} | {median(earlier):.1f} | {ratio:.2f} | {rounds} |"
        else:
            yield f"| {command} | {seconds:.1f} | | | {rounds} |"


def bars(ours: Lab, baseline: Lab) -> Iterator[tuple[str, bool]]:
    """The bars in words, and whether each is met."""
    for command, (max_ratio, max_seconds) in BARS.items():
        seconds, earlier = median(ours.seconds[command]), median(baseline.seconds[command])
        if max_ratio:
            text = f"{command}: {seconds / earlier:.2f} times the baseline, at most {max_ratio}"
            yield text, seconds <= max_ratio * earlier
        if max_seconds:
            yield f"{command}: {seconds:.1f} s, at most {max_seconds} s", seconds <= max_seconds


def main() -> None:
    """Measure, print the table, write the figures."""
    ours = Lab(ROOT, "prefect-bench", 40000)
    baseline = Lab(clone_of(BASELINE), "prefect-bench-before", 41000, strategy="linear")
    try:
        differing = measure(ours, baseline)
    finally:
        for lab in (ours, baseline):
            lab.make("down")
    results = [*bars(ours, baseline), ("Mitogen and linear make the same host", not differing)]
    print("\n## Commands of the Makefile\n", *table(ours, baseline), "", sep="\n")
    print(*differing[:40], sep="\n")
    print(*(f"- {text}: {'met' if met else 'NOT MET'}" for text, met in results), sep="\n")
    figures = {"seconds": ours.seconds, BASELINE: baseline.seconds, "bars": dict(results), "processors": os.cpu_count()}
    RESULTS.write_text(json.dumps(figures, indent=1))
    UPS.unlink()
    sys.exit(not all(met for _, met in results))


if __name__ == "__main__":
    main()
