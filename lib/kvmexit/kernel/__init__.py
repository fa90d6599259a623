"""Where virtual machines come from: simulated, real, or a recording of the real one."""
