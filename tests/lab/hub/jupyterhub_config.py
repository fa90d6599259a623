"""A JupyterHub for the labs. `make hub` runs it, with three students and a lecturer.

Copy it to the hub's machine. What is said to be for the trial is to be changed there.
"""

import os
from pathlib import Path

c = get_config()  # noqa: F821  # JupyterHub puts it there
HERE = Path(__file__).resolve().parent

# Where the hub keeps what it must remember, and where nbgrader's exchange is.
SITE = Path(os.environ.get("LAB_SITE", "/srv/exit-and-entry"))
c.JupyterHub.bind_url = os.environ.get("LAB_URL", "http://:8000")
c.JupyterHub.db_url = f"sqlite:///{SITE}/hub.sqlite"
c.JupyterHub.cookie_secret_file = str(SITE / "hub-cookie-secret")
c.ConfigurableHTTPProxy.pid_file = str(SITE / "proxy.pid")

# For the trial: any name, one password, and all servers belong to the user who runs the hub.
# For real, without these lines: the machine's own accounts (PAM), a process of each its own.
c.JupyterHub.authenticator_class = "dummy"
c.DummyAuthenticator.password = os.environ["LAB_PASSWORD"]
c.Authenticator.allow_all = True
c.JupyterHub.spawner_class = "simple"
c.SimpleLocalProcessSpawner.home_dir_template = str(SITE / "homes" / "{username}")
if os.getuid() == 0:
    c.Spawner.args = ["--allow-root"]

# A student needs less (the page has the figures); a runaway notebook gets no more. These spawners
# only tell the server of it. SystemdSpawner and those of containers enforce it.
c.Spawner.mem_limit = "1G"
c.Spawner.cpu_limit = 1.0

c.Spawner.default_url = "/lab"
c.Spawner.environment = {
    "JUPYTER_CONFIG_PATH": str(HERE / "users"),  # nbgrader_config.py of everybody
    "LAB_SITE": str(SITE),
}
