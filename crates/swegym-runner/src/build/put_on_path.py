"""Puts the folder that it is run in on the path, as the project NAME of VERSION.

    python put_on_path.py NAME VERSION

Packages may lie below `src`. Without a name there is nothing to tell of what is installed.
"""

import os
import re
import sys
import sysconfig

name, version = sys.argv[1:]
here, place = os.getcwd(), sysconfig.get_path("purelib")
below = os.path.join(here, "src")
is_layout = os.path.isdir(below) and not os.path.isfile(os.path.join(below, "__init__.py"))
with open(os.path.join(place, "project.pth"), "w") as path:
    path.write("".join(folder + "\n" for folder in ([below, here] if is_layout else [here])))
if name:
    about = os.path.join(place, "%s-%s.dist-info" % (re.sub("[-_.]+", "_", name), version))
    os.makedirs(about, exist_ok=True)
    metadata = "Metadata-Version: 2.1\nName: %s\nVersion: %s\n" % (name, version)
    for file, text in [("METADATA", metadata), ("RECORD", ""), ("INSTALLER", "swegym\n")]:
        with open(os.path.join(about, file), "w") as written:
            written.write(text)
