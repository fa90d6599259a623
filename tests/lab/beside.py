"""What stands in a student's cells beside the answer: each a line or some, which Jupyter takes, and
which must not cost the answer that follows it in the same cell."""

import sys

NAMED = ("asyncio", "hashlib", "pdb", "queue", "secrets", "numpy", "matplotlib", "IPython")
"""Imports that nobody uses, and that once cost the whole answer."""
INSIDE = ("kvmexit.vmm", "kvmexit.show", "kvmexit.packet.experiment", "kvmexit.lab.stop")
STANDARD = tuple(name for name in sorted(sys.stdlib_module_names) if name[0] != "_")

IMPORTS = {
    **{f"import {name}": f"import {name}" for name in (*NAMED, *INSIDE, *STANDARD)},
    "a part of a package": "import xml.etree.ElementTree as ET, os.path, matplotlib.pyplot as plt",
    "a name": "from concurrent.futures import ThreadPoolExecutor\nfrom numpy.random import rand",
    "all names": "from asyncio import *\nfrom numpy import *\nfrom kvmexit.vmm import *",
    "all words": "from kvmexit.exits import *\nfrom kvmexit.lab import *\nassert EINTR and check",
    "the library by its own name": "import kvmexit as k\nassert k.exits.EINTR and k.lab.Snapshot",
    "the check from where it stands": "from kvmexit.lab.notebook import check\ncheck('6.1', print)",
    "a type of the library": "from kvmexit.kernel.protocol import Vcpu\n"
    "def unused(vcpu: Vcpu, more: Vcpu | None = None) -> list[Vcpu]: return []",
    "a module that is loaded again": "import importlib, helpers\nimportlib.reload(helpers)",
    "a module by its name": "import importlib\nunused = importlib.import_module('numpy.linalg')",
    "a module that is looked for": "import importlib.util\n"
    "print(importlib.util.find_spec('torch') is None)",
    "all of a cell's values": "from IPython.core.interactiveshell import InteractiveShell\n"
    "InteractiveShell.ast_node_interactivity = 'all'",
    "a page in the page": "from IPython.display import HTML, clear_output, display\n"
    "display(HTML('<style></style>'))\nclear_output(wait=True)",
    "a slider": "import ipywidgets as w\nw.interact(print, x=w.IntSlider(min=0, max=9))",
    "a decorated function with a slider": "from ipywidgets import interact\n"
    "@interact(x=(0, 9))\ndef unused(x=3): print(x)",
    "a plot": "import matplotlib.pyplot as plt\nplt.figure(figsize=(4, 3))\n"
    "plt.plot(range(3), label='x')\nplt.legend()\nplt.show()",
    "if it is there": "try:\n    import torch\nexcept ImportError:\n    torch = None",
    "a module of one's own": "import helpers\nfrom my_tools.bits import mask as m",
    "a setting": "import matplotlib.pyplot as plt\nplt.rcParams['figure.dpi'] = 80\n"
    "plt.rcParams.update({'font.size': 9})\nplt.style.use('ggplot')",
    "a seed": "import numpy as np\nnp.random.seed(1)\nrng = np.random.default_rng(2)",
    "a warning switched off": "import warnings\nwarnings.filterwarnings('ignore')",
    "a logger": "import logging\nlogging.basicConfig(level=logging.INFO)\n"
    "log = logging.getLogger(__name__)\nlog.info('begin')",
    "a type": "import numpy as np, numpy.typing as npt\n"
    "def unused(a: np.ndarray, b: npt.NDArray[np.uint8], c: np.int8 | None) -> int | np.int8:\n"
    "    return a",
    "a type in words": "import numpy as np\nfrom typing import Optional, Union\n"
    "def unused(a: Optional[np.ndarray], b: Union[np.int8, list[np.int16]] = ()): return a",
    "a base class": "import torch\nclass Unused(torch.nn.Module):\n    pass",
    "a decorator": "from numba import njit\n@njit(cache=True)\ndef unused(n): return n",
    "arithmetic with it": "import numpy as np\nunused = np.arange(8) * 2 + 1\n"
    "other = -unused[::2] @ unused\nwhich = other[other > 1]\nprint(f'{other.mean():.2f}')",
    "a setting for a while": "import numpy as np\n"
    "with np.errstate(all='ignore'):\n    unused = np.e",
}
"""Modules that are not there when answers are graded, and some that are: none of them is used."""

MAGICS = {
    "help": "stop?",
    "more help": "EINTR??",
    "help before": "?stop",
    "more help before": "??stop",
    "help on an attribute": "vcpu.kvm_run?",
    "names that match": "kvm*?",
    "help on a magic": "%timeit?",
    "a command": "!ls",
    "a command with spaces": "  !ls -l | wc",
    "a command that is captured": "!!ls",
    "a command over two lines": "!ls \\\n  -l",
    "the value of a command": "files = !ls",
    "the values of a command": "first, *rest = !ls",
    "a place for the value of a command": "found = {}\nfound['files'] = !ls",
    "the value of a magic": "t = %timeit -o 1+1",
    "the value of a query": "rows = %sql SELECT * FROM t",
    "a query": "%sql SELECT * FROM t",
    "a setting": "%config InlineBackend.figure_format = 'svg'",
    "a setting in a block": "if True:\n    %config InlineBackend.figure_format = 'svg'",
    "a command in a block": "for name in ():\n    !echo {name}\nelse:\n    x = !ls",
    "plots": "%matplotlib inline",
    "a file that is run": "%run helpers.py",
    "reloading": "%load_ext autoreload\n%autoreload 2",
    "a package": "%pip install numpy",
    "timing": "%timeit sum(range(3))",
    "a debugger": "%pdb on",
    "a folder": "%cd ..",
    "a semicolon after a magic": "%matplotlib inline;",
    "black's form of a formatted text": 'text = (\n    "%d"\n    % 3\n)',
    "modulo at the beginning of a line": "rest = (7\n%\n4)",
    "modulo over lines": "rest = 7 %\\\n  2",
    "a percent sign in a text": "text = '''\n%timeit\n!ls\nstop?\n'''",
    "a question in a text": "text = 'why?'\nmore = \"how??\"  # so?",
    "a call as IPython writes it": "get_ipython().run_line_magic('matplotlib', 'inline')",
    "a command as IPython writes it": "get_ipython().system('ls')\n"
    "x = get_ipython().getoutput('ls')",
    "a guard round it": "if get_ipython() is not None:\n"
    "    get_ipython().run_line_magic('pdb', '')",
    "a command with a quote that stays open": "!echo it's (",
    "a comment after a magic": "%timeit f(3)  # it's",
    "a magic's value in an attribute": "class Kept: pass\nKept.rows = %sql SELECT 1",
    "what was timed": "%time y = sum(range(3))",
    "the value of what was timed": "y = %time sum(range(3))",
    "a call without brackets": "/print 1",
    "a call with quotes": ",print a b",
    "the shell's name": "print(type(get_ipython()).__name__)",
}
"""Lines that only Jupyter knows, and lines that look like them."""

PYTHON = (
    "def f(a):\n    return a % 2",
    "class C:\n    '''doc\n%x\n    '''\n    y = 3",
    "z = (1,\n  2,\n  # no ' quote\n )",
    "if x:\n    w = '#%'\nelse:\n    w = \"it's\"",
    "d = {'a': 1,\n     'b': [2,\n  3]}",
    "# a comment isn't closed (",
    "r = r'\\'",
    "q = b'\\\\\\' \"\\''",
    'm = """\nstop?\n""" % ()',
    "assert x == 1, 'why?'",
    "match x:\n    case 1:\n        n = 1",
    "async def co():\n    await co()",
    "x += 5 % 2",
)
"""What stands between magics, to be mixed with them: quotes, brackets and percent signs."""

WHOLE = {
    "%%time": True,
    "%%time --no-raise-error": True,
    "%%capture": True,
    "%%capture out": True,
    "%%prun -q": True,
    "\n\n%%time": True,
    "%%capture\n%%time": True,
    "%%timeit -n 1 -r 1": False,
    "%%bash": False,
    "%%sh": False,
    "%%script bash --bg": False,
    "%%html": False,
    "%%javascript": False,
    "%%latex": False,
    "%%markdown": False,
    "%%writefile answer.py": False,
    "%%file answer.py": False,
    "%%python": False,
    "%%pypy": False,
    "%%perl": False,
    "%%sql sqlite://": False,
    "%%system": False,
    "%%sx": False,
    "%%!": False,
    "%%memit": False,
}
"""What a cell begins with, and whether the names that it defines are the notebook's."""

ALONE = (
    "ls",
    "ls -l",
    "cd ..",
    "pwd",
    "pip install numpy",
    "conda install numpy",
    "who",
    "history -n",
    "timeit sum(range(3))",
    "matplotlib inline",
    "load_ext autoreload",
    "cat answer.py",
    "less answer.py",
    "man ls",
    "mkdir new",
    "rm old",
)
"""One line in a cell of its own: there a magic needs no sign. It says nothing of the others."""
