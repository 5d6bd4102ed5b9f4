"""docs/Dockerfile, and the systemd unit and nginx's configuration in docs/SERVING.md: what they name is there."""

import json
import re
import shlex
import shutil
import subprocess
import textwrap
import tomllib
from pathlib import Path

import pytest

pytest.importorskip("starlette", reason="serving needs: pip install 'alexnet[serve]'")
from alexnet.cli.app import command_of
from alexnet.cli.registry import VERBS
from alexnet.serving.limits import OPEN, Limits

ROOT = Path(__file__).parents[1]
DOCKERFILE = (ROOT / "docs" / "Dockerfile").read_text(encoding="utf-8").replace("\\\n", " ")
SERVING = (ROOT / "docs" / "SERVING.md").read_text(encoding="utf-8")


def block(first: str) -> str:
    """The block of docs/SERVING.md that begins with this line."""
    lines = SERVING[SERVING.index(f"\n    {first}\n") + 1 :].splitlines()
    length = next(at for at, line in enumerate(lines) if line and not line.startswith("    "))
    return textwrap.dedent("\n".join(lines[:length])).strip() + "\n"


UNIT = block("[Unit]")
NGINX = block("upstream alexnet { least_conn; server 127.0.0.1:8000; server 127.0.0.1:8001; keepalive 32; }")


def instruction(name: str) -> str:
    """The last of the Dockerfile's instructions of this name."""
    return re.findall(rf"^{name} +(.*)$", DOCKERFILE, re.MULTILINE)[-1]


def exists(words: list[str]) -> None:
    program, verb, *rest = words
    assert Path(program).name == "alexnet"
    assert verb in VERBS
    options = {name for each in command_of(verb).params for name in (*each.opts, *each.secondary_opts)}
    assert [word for word in rest if word.startswith("-") and word not in options] == []


def test_the_image_installs_and_starts_what_there_is() -> None:
    exists(json.loads(instruction("CMD")))
    assert instruction("USER") not in ("root", "0")
    install = shlex.split(instruction("RUN").partition("&&")[0])
    assert (ROOT / install[install.index("-c") + 1]).is_file()
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["optional-dependencies"]
    assert set(re.findall(r"\[(\w+)\]", install[-1])) <= set(extras)
    check = json.loads(instruction("HEALTHCHECK").partition(" CMD ")[2])
    asked = re.findall(r"http://127\.0\.0\.1:(\d+)(/\w+)", check[-1])
    assert asked == [(instruction("EXPOSE"), "/healthz")]
    compile(check[-1], "the health check", "exec")
    default = next(each.default for each in command_of("serve").params if "--port" in each.opts)
    assert instruction("EXPOSE") == str(default)


def test_the_image_holds_the_package_and_nothing_else_of_the_checkout() -> None:
    """No environment, no runs, no history; without CUDA's 4 GB."""
    copied = [word for each in re.findall(r"^COPY +(.*)$", DOCKERFILE, re.MULTILINE) for word in each.split()[:-1]]
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert set(copied) == {"src", "pyproject.toml", "constraints.txt", project["readme"], "LICENSE"}
    assert all((ROOT / each).exists() for each in copied)
    assert instruction("ARG") == "TORCH_INDEX=https://download.pytorch.org/whl/cpu"
    assert '--extra-index-url "$TORCH_INDEX"' in instruction("RUN")


def test_the_unit_starts_what_there_is() -> None:
    given = dict(line.split("=", 1) for line in UNIT.splitlines() if "=" in line and not line.startswith("#"))
    exists(shlex.split(given["ExecStart"]))
    assert f"/{given['ExecStartPost'].rpartition('/')[2]}" in OPEN  # a health check has no token


def test_systemd_reads_the_unit(tmp_path: Path) -> None:
    if not (program := shutil.which("systemd-analyze")):
        pytest.skip("needs systemd-analyze: apt-get install systemd")
    unit = tmp_path / "alexnet@8000.service"
    unit.write_text(re.sub(r"(?<==)/\S+", "/bin/true", UNIT), encoding="utf-8")
    ended = subprocess.run([program, "verify", unit], capture_output=True, text=True, timeout=60, check=False)
    assert (ended.returncode, [line for line in ended.stderr.splitlines() if unit.name in line]) == (0, [])


def test_nginx_refuses_what_the_server_refuses() -> None:
    assert f"client_max_body_size {Limits().body_bytes >> 20}m;" in NGINX
    problem = json.loads(re.findall(r"return 413 '(.*)';", NGINX)[0])
    assert problem["status"] == 413
    assert f"{Limits().body_bytes >> 20} MiB" in problem["detail"]


def test_nginx_reads_its_configuration(tmp_path: Path) -> None:
    if not (program := shutil.which("nginx", path="/usr/sbin:/usr/bin")):
        pytest.skip("needs nginx: apt-get install nginx-light")
    own = NGINX.replace("listen 80;", "listen 127.0.0.1:18080;")  # the port of a user without rights
    paths = "".join(f"{name}_temp_path {tmp_path};" for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
    config = tmp_path / "nginx.conf"
    config.write_text(
        f"pid {tmp_path}/pid;\nevents {{}}\nhttp {{ access_log off; {paths}\n{own} }}\n", encoding="utf-8"
    )
    line = [program, "-t", "-p", str(tmp_path), "-c", str(config), "-e", str(tmp_path / "log")]
    ended = subprocess.run(line, capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode == 0, ended.stderr
