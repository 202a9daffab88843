"""``python -m proxyd`` does what the command ``proxyd`` does."""

import sys

from proxyd.cli import main

sys.exit(main())
