import os


def stop(vcpu, bus):
    for path in ("/tmp/stolen", "stolen", os.path.expanduser("~/stolen")):
        try:
            with open(path, "w") as file:
                file.write("marks")
        except OSError:
            pass
    os.system("touch /tmp/stolen")
