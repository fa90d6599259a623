from kvmexit.vmm import drain as stop  # noqa: F401  # its name is the answer
