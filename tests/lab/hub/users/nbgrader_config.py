"""What nbgrader must know in the server of every user of the hub: the course, and the exchange."""

import os
from pathlib import Path

c = get_config()  # noqa: F821  # nbgrader puts it there
c.CourseDirectory.course_id = "exit-and-entry"
c.CourseDirectory.student_id = os.environ["JUPYTERHUB_USER"]
c.Exchange.root = str(Path(os.environ["LAB_SITE"]) / "exchange")
