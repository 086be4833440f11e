#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Run a command and say what it took: status=N rss=MIB seconds=S.

    limited.py FILE COMMAND...        writes that line to FILE
"""

import resource
import subprocess
import sys
import time

begun = time.monotonic()
status = subprocess.call(sys.argv[2:])
used = resource.getrusage(resource.RUSAGE_CHILDREN)
with open(sys.argv[1], 'w') as f:
    print('status=%d rss=%d seconds=%d' % (
        status, (used.ru_maxrss + 1023) // 1024, time.monotonic() - begun),
        file=f)
sys.exit(status)
