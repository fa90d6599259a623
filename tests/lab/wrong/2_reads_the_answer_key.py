from kvmexit.vmm import drain as stop  # noqa: F401
