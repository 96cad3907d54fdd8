"""mini-swe-agent on copies of one repository, many at a time, against one endpoint.

Arguments: environment (local or bubblewrap), attempts, attempts at once,
endpoint, repository. Prints "steps seconds" when all have handed in.
"""

import os
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

os.environ["MSWEA_SILENT_STARTUP"] = "1"
os.environ["OPENAI_API_KEY"] = "none"

import minisweagent
import yaml
from minisweagent.agents.default import DefaultAgent
from minisweagent.environments.extra.bubblewrap import BubblewrapEnvironment
from minisweagent.environments.local import LocalEnvironment
from minisweagent.models.litellm_model import LitellmModel

kind, attempts, at_once, endpoint, repository = sys.argv[1:]
config = yaml.safe_load((Path(minisweagent.__file__).parent / "config/benchmarks/swebench.yaml").read_text())


def attempt(_):
    with tempfile.TemporaryDirectory() as folder:
        tree = os.path.join(folder, "tree")
        subprocess.run(["cp", "-a", repository, tree], check=True)
        environment = (BubblewrapEnvironment if kind == "bubblewrap" else LocalEnvironment)(cwd=tree)
        settings = dict(config["model"], model_name="openai/m", cost_tracking="ignore_errors")
        settings["model_kwargs"] = {"api_base": endpoint}
        agent = DefaultAgent(
            LitellmModel(**settings),
            environment,
            system_template=config["agent"]["system_template"],
            instance_template=config["agent"]["instance_template"],
            output_path=Path(folder) / "trajectory.json",
            cost_limit=0,
        )
        ended = agent.run("Find out what is wrong, and mend it.")
        assert ended["exit_status"] == "Submitted", ended
        return agent.n_calls


started = time.monotonic()
with ThreadPoolExecutor(int(at_once)) as pool:
    steps = sum(pool.map(attempt, range(int(attempts))))
print(steps, time.monotonic() - started)
