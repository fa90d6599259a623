from kvmexit.vmm import drain as stop
