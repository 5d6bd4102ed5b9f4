"""A machine of test_hosts.py: it starts processes of `alexnet` as copies of itself, which has imported everything.

    python host.py NAME

Each line on stdin is a command in JSON: {"ranks": [0, 1], "size": 4, "address": …, "port": …, "folder": …,
"arguments": {"0": […], …}, "environment": {…}, "slow": {"1": 9}} starts processes and is answered with their ids;
{"wait": 60} is answered with their exit codes, null for one that has not ended after so many seconds; {"run": ["mount",
…]} runs another program on the machine and is answered with its exit code. What rank 2 says is in folder/2. slow:
seconds that a rank sleeps in its third step; clocks: seconds by which a rank's clock is wrong.
"""

import json
import os
import signal
import subprocess
import sys
import time
import traceback
from typing import Any

import torch

import alexnet
from alexnet.cli import app, main
from alexnet.experiments import finish, train
from alexnet.insight import plots
from alexnet.training import learner

INTERFACE = "veth"


def worker(job: dict[str, Any], rank: int) -> int:
    """`alexnet …` as one of the processes; its exit code."""
    place = {"RANK": rank, "LOCAL_RANK": job["ranks"].index(rank), "WORLD_SIZE": job["size"]}
    place |= {"LOCAL_WORLD_SIZE": len(job["ranks"]), "MASTER_ADDR": job["address"], "MASTER_PORT": job["port"]}
    os.environ.update({name: str(value) for name, value in place.items()})
    os.environ.update({"GLOO_SOCKET_IFNAME": INTERFACE} | job.get("environment", {}))
    if str(rank) in job.get("versions", {}):
        train.__version__ = job["versions"][str(rank)]
    if seconds := job.get("slow", {}).get(str(rank)):
        step = learner.Learner.step

        def slow(self: learner.Learner, *batch: torch.Tensor, **how: Any) -> learner.Outcome:
            if self.done == 2:
                time.sleep(seconds)
            return step(self, *batch, **how)

        learner.Learner.step = slow
    if wrong := job.get("clocks", {}).get(str(rank)):
        clock = time.time
        time.time = lambda: clock() + wrong
    sys.argv = ["alexnet", *job["arguments"].get(str(rank), job["arguments"]["all"])]
    try:
        main()
    except SystemExit as ended:
        return ended.code if isinstance(ended.code, int) else 1
    return 1


def started(job: dict[str, Any], rank: int) -> int:
    if pid := os.fork():
        return pid
    code = 1
    try:
        os.dup2(os.open(os.devnull, os.O_RDWR), 0)
        os.dup2(os.open(f"{job['folder']}/{rank}", os.O_WRONLY | os.O_CREAT | os.O_TRUNC), 2)
        os.dup2(os.open(f"{job['folder']}/{rank}.out", os.O_WRONLY | os.O_CREAT | os.O_TRUNC), 1)
        code = worker(job, rank)
        sys.stdout.flush()
        sys.stderr.flush()
    except BaseException:
        traceback.print_exc()
    os._exit(code)


def ends(pids: list[int], seconds: float) -> list[int | None]:
    until, codes = time.monotonic() + seconds, dict.fromkeys(pids)
    while None in codes.values() and time.monotonic() < until:
        for pid in [pid for pid, code in codes.items() if code is None]:
            found, status = os.waitpid(pid, os.WNOHANG)
            if found:
                codes[pid] = os.waitstatus_to_exitcode(status)
        time.sleep(0.05)
    return list(codes.values())


def serve() -> None:
    torch.set_num_threads(1)
    plots.sample_grid = finish.draw = finish.write_report = lambda *_: None
    app.command_of("train")
    print(json.dumps(alexnet.__version__), flush=True)
    pids: list[int] = []
    for line in sys.stdin:
        command = json.loads(line)
        if "wait" in command:
            print(json.dumps(ends(pids, command["wait"])), flush=True)
        elif "run" in command:
            print(json.dumps(subprocess.run(command["run"], capture_output=True).returncode), flush=True)
        else:
            pids = [started(command, rank) for rank in command["ranks"]]
            print(json.dumps(pids), flush=True)


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    import socket

    socket.sethostname(sys.argv[1])
    serve()
