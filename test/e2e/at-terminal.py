"""Runs a program at a terminal: presses Ctrl-C when it prints "waiting", answers its question, and tells how it ended.

    at-terminal.py ANSWER PROGRAM ARGUMENTS...
"""

import os
import pty
import select
import sys
import time

answer, program = sys.argv[1], sys.argv[2:]
pid, terminal = pty.fork()
if pid == 0:
    os.execvp(program[0], program)

seen = b""
pressed = answered = False
deadline = time.monotonic() + 60
while time.monotonic() < deadline:
    if select.select([terminal], [], [], 0.2)[0]:
        try:
            chunk = os.read(terminal, 4096)
        except OSError:
            break
        if not chunk:
            break
        seen += chunk
    if not pressed and b"waiting" in seen:
        os.write(terminal, b"\x03")
        pressed = True
    if pressed and not answered and b"Leave the job running?" in seen:
        time.sleep(0.5)
        os.write(terminal, answer.encode())
        answered = True

_, status = os.waitpid(pid, 0)
sys.stdout.write(seen.decode(errors="replace"))
print(f"\nexit code {os.waitstatus_to_exitcode(status)}")
