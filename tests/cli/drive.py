"""What tests of the command line share: the command in a scratch home, TAP, terminals."""
import fcntl, os, pty, re, select, shutil, struct, subprocess, sys, tempfile, termios, time

openshell = os.path.realpath(os.environ.pop("OPENSHELL_UNDER_TEST"))
home = tempfile.mkdtemp()
os.chdir(home)
for name in list(os.environ):
    if name.startswith("OPENSHELL_") or name.startswith("XDG_") or name in ("NO_COLOR", "COMPLETE"):
        del os.environ[name]
os.environ.update(HOME=home, LC_ALL="C", TERM="dumb", XDG_RUNTIME_DIR=f"{home}/run", PATH="/usr/bin:/bin")
n = bad = 0


def ok(good, rule, note=""):
    global n, bad
    n += 1
    bad += not good
    print(f"{'' if good else 'not '}ok {n} - {rule}")
    if not good:
        print("\n".join("# " + l for l in str(note).splitlines()))


def run(line, stdin=b"", **env):
    argv = line.split(" ") if isinstance(line, str) else line
    p = subprocess.run([openshell, *argv], input=stdin, capture_output=True, env={**os.environ, **env}, timeout=60)
    return p.returncode, p.stdout.decode(), p.stderr.decode()


def is_(line, status, rule, out=None, err=None, stdin=b"", **env):
    """Exit status, all of standard output (or a pattern of it), a part of standard error ("" for nothing)."""
    got = run(line, stdin, **env)
    good = got[0] == status
    good = good and (out is None or (re.search(out.pattern, got[1], re.M) if isinstance(out, re.Pattern) else got[1] == out))
    good = good and (err is None or (err in got[2] if err else got[2] == ""))
    ok(good, rule, got)
    return got


def end():
    shutil.rmtree(home, ignore_errors=True)
    print(f"1..{n}")
    sys.exit(bad != 0)


class Terminal:
    def __init__(self, line, rows=24, cols=80):
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack("HHHH", rows, cols, 0, 0))
            os.execv(openshell, [openshell, *line.split(" ")])
        self.before = termios.tcgetattr(self.fd)
        self.seen = b""

    def expect(self, text, seconds=20):
        end = time.monotonic() + seconds
        while text not in self.seen and time.monotonic() < end:
            if select.select([self.fd], [], [], 0.2)[0]:
                try:
                    self.seen += os.read(self.fd, 65536)
                except OSError:
                    break
        good = text in self.seen
        self.seen = self.seen.split(text, 1)[1] if good else self.seen
        return good

    def raw(self):
        end = time.monotonic() + 20
        while termios.tcgetattr(self.fd)[3] & termios.ICANON and time.monotonic() < end:
            time.sleep(0.01)
        return not termios.tcgetattr(self.fd)[3] & termios.ICANON

    def type(self, data):
        os.write(self.fd, data)

    def end(self):
        end = time.monotonic() + 20
        while time.monotonic() < end:
            try:
                if select.select([self.fd], [], [], 0.2)[0] and not os.read(self.fd, 65536):
                    break
            except OSError:
                break
        else:
            os.kill(self.pid, 9)
        return os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])

    def resize(self, rows, cols):
        fcntl.ioctl(self.fd, termios.TIOCSWINSZ, struct.pack("HHHH", rows, cols, 0, 0))


# A terminal outlives the command where a shell holds it: then its modes can be looked at afterwards.
def in_shell(line, keys, kill=None, after=b"so far", then=None):
    pid, fd = pty.fork()
    if pid == 0:
        os.execv("/bin/sh", ["sh", "-c", f"stty -a >before; {openshell} {line}; echo status $? >status; stty -a >after"])
    seen, typed, end = b"", False, time.monotonic() + 20
    while time.monotonic() < end:
        try:
            if select.select([fd], [], [], 0.2)[0]:
                seen += os.read(fd, 65536)
        except OSError:
            break
        if not typed and after in seen:
            typed = True
            if kill:
                time.sleep(0.1)
                subprocess.run(["pkill", f"-{kill}", "-f", f"^{openshell} {line}"])
            else:
                os.write(fd, keys)
        if typed and then and seen.count(then[0]) >= 2:  # by the terminal, and by the program
            os.write(fd, then[1])
            then = None
    if time.monotonic() >= end:
        subprocess.run(["pkill", "-9", "-f", f"^{openshell} {line}"])
        print(f"# {line}: killed after {seen!r}")
    os.waitpid(pid, 0)
    read = lambda name: open(name).read()
    return seen, read("status").strip(), read("before") == read("after") and "icanon" in read("after")
