package real

import (
	"testing"

	"github.com/sysemu/sysemu/internal/compare"
)

// python is Debian's own interpreter: one found in PATH may be a version manager's shell script.
const python = "/usr/bin/python3"

func py(name, source string) compare.Case {
	return compare.Case{
		Name: name, Args: []string{python, "-B", "prog.py"}, Files: map[string]string{"prog.py": source},
		Need: []string{python},
	}
}

func TestPython(t *testing.T) {
	compare.Table(t, []compare.Case{
		{Name: "hello", Args: []string{python, "-c", "import sys; print('hello', sys.version_info[:2], sys.platform)"}, Need: []string{python}},
		{Name: "exit", Args: []string{python, "-c", "import sys; sys.stderr.write('bye\\n'); sys.exit(7)"}, Need: []string{python}},
		{Name: "traceback", Args: []string{python, "-c", "def f(): 1/0\nf()"}, Need: []string{python}},
		{Name: "stdin", Args: []string{python, "-"}, Stdin: "print(sum(range(1000)))\n", Need: []string{python}},
		{Name: "killed", Args: []string{python, "-c", "import os, signal; os.kill(os.getpid(), signal.SIGTERM)"}, Need: []string{python}},
		{Name: "interrupted", Args: []string{python, "-c", "import os, signal\ntry:\n os.kill(os.getpid(), signal.SIGINT)\nexcept KeyboardInterrupt: print('interrupted')"}, Need: []string{python}},
		{Name: "imports", Args: []string{python, "-c", "import json, re, os, sys, collections, itertools, functools, datetime, decimal, random, hashlib, socket, ssl, threading, subprocess, email, http.client, urllib.request, xml.etree.ElementTree, unittest, logging, argparse, tempfile, shutil, glob, ctypes, zlib, bz2, lzma, csv, sqlite3, asyncio, multiprocessing, concurrent.futures; print(len(sys.modules) > 300)"}, Need: []string{python}},
		py("files", `
import os, stat, tempfile, shutil, glob, mmap, fcntl, errno
os.makedirs('a/b/c'); open('a/b/f', 'w').write('x' * 5000)
print(os.path.getsize('a/b/f'), sorted(os.listdir('a/b')), oct(os.stat('a/b/f').st_mode))
for e in sorted(os.scandir('a/b'), key=lambda e: e.name): print(e.name, e.is_dir(), e.is_file())
for root, dirs, files in os.walk('a'): print(root, dirs, files)
os.symlink('f', 'a/b/l'); print(os.readlink('a/b/l'), os.path.islink('a/b/l'), os.path.samefile('a/b/f', 'a/b/l'))
os.rename('a/b/f', 'g'); print(os.path.exists('a/b/l'), os.path.lexists('a/b/l'))
fd = os.open('g', os.O_RDWR)
print(os.pread(fd, 3, 10), os.pwrite(fd, b'yyy', 0), os.lseek(fd, 0, os.SEEK_END), os.readv(fd, [bytearray(4)]))
os.ftruncate(fd, 100); print(os.fstat(fd).st_size); os.posix_fallocate(fd, 0, 200); print(os.fstat(fd).st_size)
m = mmap.mmap(fd, 200); m[0:5] = b'hello'; m.flush(); print(os.pread(fd, 5, 0), m.find(b'y')); m.close()
fcntl.flock(fd, fcntl.LOCK_EX); fcntl.lockf(fd, fcntl.LOCK_EX)
print(fcntl.fcntl(fd, fcntl.F_GETFL) & os.O_ACCMODE, os.get_inheritable(fd))
try: os.open('g', os.O_CREAT | os.O_EXCL)
except OSError as e: print(e, errno.errorcode[e.errno])
os.utime('g', ns=(1, 2)); print(os.stat('g').st_atime_ns, os.stat('g').st_mtime_ns)
shutil.copytree('a', 'z', symlinks=True); print(sorted(glob.glob('**', recursive=True)))
shutil.rmtree('a'); print(os.path.exists('a'))
with tempfile.TemporaryFile() as f: f.write(b'q'); f.seek(0); print(f.read())
with tempfile.NamedTemporaryFile(dir='.') as f: print(os.path.exists(f.name))
print(os.sendfile(os.open('out', os.O_CREAT | os.O_WRONLY), fd, 0, 50), os.path.getsize('out'))
print(os.copy_file_range(fd, os.open('out2', os.O_CREAT | os.O_WRONLY), 30, 0))
d = os.open('z', os.O_DIRECTORY); print(sorted(os.listdir(d)), os.access('b', os.F_OK, dir_fd=d)); os.fchdir(d); print(os.path.basename(os.getcwd()))
`),
		py("threads", `
import threading, queue, time
lock, total = threading.Lock(), 0
def work(n):
    global total
    for _ in range(n):
        with lock: total += 1
ts = [threading.Thread(target=work, args=(5000,)) for _ in range(8)]
[t.start() for t in ts]; [t.join() for t in ts]; print(total)
q, out = queue.Queue(10), queue.Queue()
def consume():
    while (x := q.get()) is not None: out.put(x * x)
cs = [threading.Thread(target=consume) for _ in range(4)]
[c.start() for c in cs]
for i in range(200): q.put(i)
for c in cs: q.put(None)
[c.join() for c in cs]
print(sum(out.get() for _ in range(200)))
e, c = threading.Event(), threading.Condition()
print(e.wait(0.05)); threading.Timer(0.05, e.set).start(); print(e.wait(5))
b = threading.Barrier(3); s = threading.Semaphore(2)
def meet():
    with s: pass
    b.wait()
ts = [threading.Thread(target=meet) for _ in range(2)]; [t.start() for t in ts]; b.wait(); [t.join() for t in ts]
l = threading.local(); l.x = 1; print(threading.active_count(), threading.get_native_id() > 0)
from concurrent.futures import ThreadPoolExecutor
with ThreadPoolExecutor(5) as ex: print(list(ex.map(lambda x: x + 1, range(20))))
t0 = time.monotonic(); time.sleep(0.1); d = time.monotonic() - t0; print(0.1 <= d < 2)
`),
		py("subprocess", `
import subprocess, os, signal, sys
print(subprocess.check_output(['echo', 'hi']), subprocess.run(['sh', '-c', 'exit 3']).returncode)
p = subprocess.Popen(['cat'], stdin=subprocess.PIPE, stdout=subprocess.PIPE); print(p.communicate(b'x' * 300000)[0] == b'x' * 300000, p.returncode)
print(subprocess.run('echo err >&2; echo out', shell=True, capture_output=True, text=True))
try: subprocess.run(['nosuch'])
except FileNotFoundError as e: print(e)
try: subprocess.run(['sleep', '5'], timeout=0.2)
except subprocess.TimeoutExpired as e: print('timed out', e.cmd)
p = subprocess.Popen(['sleep', '60']); p.send_signal(signal.SIGKILL); print(p.wait())
print(subprocess.run(['sh', '-c', 'echo $V; pwd'], env={'V': '1'}, cwd='/usr', capture_output=True).stdout)
p = subprocess.Popen(['sh', '-c', 'kill -STOP $$; exit 9'], start_new_session=True)
print(os.WIFSTOPPED(os.waitpid(p.pid, os.WUNTRACED)[1])); os.killpg(p.pid, signal.SIGCONT); print(p.wait())
r, w = os.pipe(); p = subprocess.Popen(['sh', '-c', 'echo via fd >&%d' % w], pass_fds=[w]); os.close(w); print(os.read(r, 100)); p.wait()
ps = [subprocess.Popen([sys.executable, '-S', '-c', 'print(%d**3)' % i], stdout=subprocess.PIPE) for i in range(6)]
print([int(p.communicate()[0]) for p in ps])
pid = os.fork()
if pid == 0: os._exit(11)
print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
pid = os.posix_spawn('/bin/sh', ['sh', '-c', 'exit 12'], {}); print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
print(os.system('exit 5') >> 8, os.popen('echo popen').read())
fd = os.pidfd_open(os.spawnlp(os.P_NOWAIT, 'true', 'true')); import select; print(len(select.select([fd], [], [], 5)[0]))
`),
		py("multiprocessing", `
import multiprocessing as mp, os, time
def square(x): return x * x
def put(q, l, v, a):
    for i in range(50):
        with l: v.value += 1
    a[0] += 1; q.put(os.getppid())
def serve(c):
    while (m := c.recv()) is not None: c.send(m[::-1])
if __name__ == '__main__':
    for how in ('fork', 'spawn', 'forkserver'):
        ctx = mp.get_context(how)
        with ctx.Pool(3) as p: print(how, p.map(square, range(20)), p.apply_async(square, (9,)).get(30))
    ctx = mp.get_context('fork')
    q, l, v, a = ctx.Queue(), ctx.Lock(), ctx.Value('i', 0), ctx.Array('i', [0])
    ps = [ctx.Process(target=put, args=(q, l, v, a)) for _ in range(3)]
    [p.start() for p in ps]; print({q.get() for _ in ps} == {os.getpid()}); [p.join() for p in ps]
    print(v.value, a[0] >= 1, [p.exitcode for p in ps])
    c, d = ctx.Pipe(); p = ctx.Process(target=serve, args=(d,)); p.start(); c.send('abc'); print(c.recv()); c.send(None); p.join()
    with ctx.Manager() as m:
        x = m.dict(); x['a'] = 1; print(dict(x), m.list([1, 2])[:])
    p = ctx.Process(target=time.sleep, args=(60,)); p.start(); p.terminate(); p.join(); print(p.exitcode)
    from multiprocessing import shared_memory
    s = shared_memory.SharedMemory(create=True, size=100); s.buf[0] = 7
    t = shared_memory.SharedMemory(name=s.name); print(t.buf[0]); t.close(); s.close(); s.unlink()
    from concurrent.futures import ProcessPoolExecutor
    with ProcessPoolExecutor(2) as ex: print(list(ex.map(square, range(5))))
`),
		py("asyncio", `
import asyncio, os, signal, tempfile
async def sub():
    p = await asyncio.create_subprocess_exec('sort', stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE)
    print(await p.communicate(b'b\na\n'), p.returncode)
async def unix():
    async def handle(r, w):
        w.write((await r.readline()).upper()); await w.drain(); w.close()
    s = await asyncio.start_unix_server(handle, 'sock')
    async def one(i):
        r, w = await asyncio.open_unix_connection('sock'); w.write(b'hello %d\n' % i); x = await r.read(); w.close(); return x
    print(await asyncio.gather(*(one(i) for i in range(20)))); s.close(); await s.wait_closed()
async def main():
    print(await asyncio.gather(*(asyncio.sleep(0.01 * (5 - i), i) for i in range(5))))
    try: await asyncio.wait_for(asyncio.sleep(10), 0.05)
    except asyncio.TimeoutError: print('timeout')
    loop, got = asyncio.get_running_loop(), asyncio.Event()
    loop.add_signal_handler(signal.SIGUSR1, got.set); os.kill(os.getpid(), signal.SIGUSR1); await got.wait(); print('signal')
    print(await loop.run_in_executor(None, sum, range(100)))
    await sub(); await unix()
    q = asyncio.Queue(2)
    async def prod():
        for i in range(5): await q.put(i)
    t = asyncio.create_task(prod()); print([await q.get() for _ in range(5)]); await t
asyncio.run(main())
`),
		py("sqlite3", `
import sqlite3, threading
c = sqlite3.connect('t.db'); c.execute('create table t(a integer primary key, b text)')
with c: c.executemany('insert into t(b) values (?)', [('row %d' % i,) for i in range(2000)])
print(c.execute('select count(*), max(b) from t').fetchall())
try:
    with c: c.execute('delete from t'); raise RuntimeError
except RuntimeError: pass
print(c.execute('select count(*) from t').fetchone(), c.execute('pragma journal_mode=wal').fetchone())
def w(n):
    d = sqlite3.connect('t.db', timeout=30)
    for i in range(20):
        with d: d.execute('insert into t(b) values (?)', ('w%d' % n,))
ts = [threading.Thread(target=w, args=(i,)) for i in range(4)]; [t.start() for t in ts]; [t.join() for t in ts]
print(c.execute('select b, count(*) from t where b like "w%" group by b order by b').fetchall(), c.execute('pragma integrity_check').fetchall())
import os; c.close(); print(sorted(os.listdir('.')))
`),
		py("sockets", `
import socket, os, threading, array, struct, select
a, b = socket.socketpair(); a.send(b'x' * 10); print(b.recv(100)); a.shutdown(socket.SHUT_WR); print(b.recv(1)); b.send(b'back'); print(a.recv(9))
s = socket.socket(socket.AF_UNIX); s.bind('s'); s.listen(5)
c = socket.socket(socket.AF_UNIX); c.connect('s'); d, addr = s.accept(); print(repr(addr), c.getpeername(), d.getsockname())
print(struct.unpack('3i', d.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))[1:])
r, w = os.pipe(); socket.send_fds(c, [b'fd'], [w]); m, fds, f, _ = socket.recv_fds(d, 10, 4); os.write(fds[0], b'passed'); print(m, os.read(r, 10))
x, y = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM); x.send(b'one'); x.send(b'two'); print(y.recv(2), y.recv(10))
x, y = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET); x.send(b'one'); x.send(b''); x.send(b'three'); print(y.recv(10), y.recv(10), y.recv(3)); x.close(); print(y.recv(10))
s = socket.socket(socket.AF_UNIX); s.bind('\0abstract-name-of-test'); s.listen(); c = socket.socket(socket.AF_UNIX); c.connect('\0abstract-name-of-test'); print(s.getsockname())
c = socket.socket(socket.AF_UNIX)
for p in ('nope', 'prog.py'):
    try: c.connect(p)
    except OSError as e: print(e)
c.setblocking(False); a.setblocking(False)
try: a.recv(1)
except BlockingIOError as e: print(e)
p = select.poll(); p.register(b, select.POLLIN | select.POLLOUT); print([e for _, e in p.poll(100)])
e = select.epoll(); e.register(b.fileno(), select.EPOLLIN | select.EPOLLET); print(len(e.poll(0.05)))
`),
		py("tcp", `
import socket, asyncio
t = socket.socket(); t.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1); t.bind(('127.0.0.1', 0)); t.listen()
c = socket.create_connection(t.getsockname()); d, _ = t.accept(); c.sendall(b'tcp'); print(d.recv(10)); c.close(); print(d.recv(1))
u = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); u.bind(('127.0.0.1', 0)); v = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); v.sendto(b'udp', u.getsockname()); print(u.recvfrom(10)[0])
try: socket.create_connection(('127.0.0.1', 1))
except OSError as e: print(e)
async def tcp():
    async def handle(r, w):
        w.write(await r.read(5)); await w.drain(); w.close()
    s = await asyncio.start_server(handle, '127.0.0.1', 0)
    r, w = await asyncio.open_connection(*s.sockets[0].getsockname()); w.write(b'12345'); print(await r.read()); w.close(); s.close()
asyncio.run(tcp())
`),
		py("signals", `
import signal, os, time, threading
got = []
for s in (signal.SIGUSR1, signal.SIGUSR2, signal.SIGALRM, signal.SIGRTMIN): signal.signal(s, lambda n, f: got.append(n))
os.kill(os.getpid(), signal.SIGUSR1); signal.raise_signal(signal.SIGUSR2); signal.setitimer(signal.ITIMER_REAL, 0.05); signal.pause(); print(got)
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR1]); os.kill(os.getpid(), signal.SIGUSR1); print(signal.sigpending(), signal.sigwait([signal.SIGUSR1]))
i = (os.kill(os.getpid(), signal.SIGUSR1), signal.sigwaitinfo([signal.SIGUSR1]))[1]; print(i.si_signo, i.si_pid == os.getpid(), i.si_uid, i.si_code)
print(signal.sigtimedwait([signal.SIGUSR1], 0.05))
r, w = os.pipe(); os.set_blocking(w, False); signal.set_wakeup_fd(w); signal.raise_signal(signal.SIGUSR2); print(os.read(r, 5))
t0 = time.monotonic(); signal.setitimer(signal.ITIMER_REAL, 0.05); time.sleep(0.3); print(time.monotonic() - t0 >= 0.3)
import faulthandler, subprocess, sys
print(subprocess.run([sys.executable, '-c', 'import ctypes; ctypes.string_at(16)'], preexec_fn=lambda: __import__('resource').setrlimit(4, (0, 0))).returncode)
`),
		py("ctypes-and-limits", `
import ctypes, resource, os, sys, gc
libc = ctypes.CDLL(None, use_errno=True)
print(libc.getpid() == os.getpid(), libc.abs(-3)); libc.close(-1); print(ctypes.get_errno())
print(resource.getrlimit(resource.RLIMIT_NOFILE)[0] > 0); resource.setrlimit(resource.RLIMIT_NOFILE, (20, 20))
fs = []
try:
    while True: fs.append(open('/dev/null'))
except OSError as e: print(e.strerror, 10 < len(fs) < 20)
for f in fs: f.close()
resource.setrlimit(resource.RLIMIT_AS, (1 << 30, 1 << 30))
try: bytearray(2 << 30)
except MemoryError: print('no memory')
b = bytearray(200 << 20); b[100 << 20] = 1; print(len(b)); del b; gc.collect()
u = resource.getrusage(resource.RUSAGE_SELF); print(u.ru_utime >= 0, u.ru_maxrss > 1000)
sys.setrecursionlimit(30000)
def f(n): return n and f(n - 1)
print(f(20000))
`),
		py("time", `
import time, datetime, os
print(time.gmtime(0)[:6], time.strftime('%F', time.gmtime(86400 * 365)), datetime.datetime.fromtimestamp(0).isoformat())
for c in ('CLOCK_REALTIME', 'CLOCK_MONOTONIC', 'CLOCK_BOOTTIME', 'CLOCK_PROCESS_CPUTIME_ID', 'CLOCK_THREAD_CPUTIME_ID', 'CLOCK_MONOTONIC_RAW', 'CLOCK_TAI'):
    i = getattr(time, c); a = time.clock_gettime_ns(i); b = time.clock_gettime_ns(i); print(c, b >= a > 0)
x = time.process_time(); s = sum(range(2000000)); print(time.process_time() - x > 0.005); print(abs(time.time() - datetime.datetime.now().timestamp()) < 5)
os.environ['TZ'] = 'Asia/Tokyo'; time.tzset(); print(time.localtime(0)[:6], time.tzname)
`),
		{Name: "venv-less-modules", Script: `echo 'def f(): return 41' > m.py; PYTHONPATH=. /usr/bin/python3 -c 'import m; print(m.f() + 1)'; ls __pycache__; /usr/bin/python3 -m json.tool <<< '{"a": [1, 2]}'; /usr/bin/python3 -m compileall -q m.py; echo $?; /usr/bin/python3 -m timeit -n 10 -r 1 pass | cut -d' ' -f1-3; /usr/bin/python3 -m zipfile -c z.zip m.py; /usr/bin/python3 -m zipfile -l z.zip | cut -c1-10`, Need: []string{python}},
		{Name: "http-server", Script: `/usr/bin/python3 -u -m http.server --bind 127.0.0.1 18765 > log 2>&1 & p=$!; for i in 1 2 3 4 5 6 7 8 9 10; do sleep 0.3; /usr/bin/python3 -c 'import urllib.request as u; print(u.urlopen("http://127.0.0.1:18765/f").read())' 2>/dev/null && break; done; kill $p; wait $p; echo $?`, Files: map[string]string{"f": "served\n"}, Need: []string{python}},
		py("pty", `
import pty, os, tty, termios, signal, struct, fcntl, time
pid, fd = pty.fork()
if pid == 0: os.execlp('sh', 'sh', '-c', 'tty | cut -c1-9; stty size; read x; echo got $x; trap "echo int; exit 4" INT; sleep 5')
fcntl.ioctl(fd, termios.TIOCSWINSZ, struct.pack('4H', 10, 33, 0, 0))
def until(s):
    b = b''
    while s not in b:
        c = os.read(fd, 1000); b += c
    return b
time.sleep(0.3)
os.write(fd, b'word\n'); print(until(b'got word\r\n').replace(b'word\r\n', b'', 1) != b''); time.sleep(0.3); os.write(fd, b'\x03'); print(until(b'int\r\n'))
print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
m, s = os.openpty(); os.write(s, b'a\n'); print(os.read(m, 10)); tty.setraw(s); os.write(s, b'a\n'); print(os.read(m, 10)); os.write(m, b'k'); print(os.read(s, 1), os.ttyname(s)[:9], os.isatty(m))
`),
	})
}

func TestPerl(t *testing.T) {
	compare.Table(t, []compare.Case{
		{Name: "hello", Args: []string{"perl", "-e", `print "hello $$\n" =~ s/\d+/PID/r; printf "%s\n", join ",", map { $_ ** 2 } 1 .. 5; exit 3`}, Need: []string{"perl"}},
		{Name: "fork-and-pipe", Args: []string{"perl", "-e", `$| = 1; pipe(R, W); if (!fork) { close R; print W "from child\n"; exit 5 } close W; print <R>; wait; print $? >> 8, "\n"; open(P, "-|", "seq 3") or die; print "p$_" while <P>; close P; open(P, "|-", "cat -n"); print P "x\n"; close P; print qx(echo bt); system("exit 4;"); print $? >> 8, "\n"`}, Need: []string{"perl"}},
		{Name: "signals", Args: []string{"perl", "-e", `$| = 1; $SIG{ALRM} = sub { print "alarm\n" }; alarm 1; select undef, undef, undef, 3; $SIG{USR1} = sub { print "usr1\n" }; kill USR1 => $$; eval { local $SIG{ALRM} = sub { die "timeout\n" }; alarm 1; sleep 5; }; print $@; $SIG{TERM} = "DEFAULT"; kill TERM => $$; sleep 1`}, Need: []string{"perl"}},
		{Name: "files", Args: []string{"perl", "-MFile::Temp", "-MFile::Find", "-MCwd", "-MPOSIX", "-MFcntl=:flock", "-e", `open F, ">", "f"; flock F, LOCK_EX or die; print F "a\nb\n"; close F; open F, "+<", "f"; seek F, 2, 0; print scalar <F>; print -s "f", -d "." ? "d" : "", "\n"; mkdir "d"; rename "f", "d/f"; find(sub { print "$File::Find::name\n" }, "d"); unlink "d/f"; rmdir "d"; print "gone\n" unless -e "d"; print $!{ENOENT} ? "enoent\n" : "", strftime("%F", gmtime(0)), "\n"; open F, "<", "/nope" or print "$!\n"; die "dead\n"`}, Need: []string{"perl"}},
		{Name: "modules", Args: []string{"perl", "-MData::Dumper", "-MDigest::SHA=sha256_hex", "-MMIME::Base64", "-MSocket", "-MIO::Socket::UNIX", "-MTime::HiRes=usleep", "-MStorable=dclone", "-e", `$Data::Dumper::Sortkeys = 1; print Dumper(dclone({a => [1, 2], b => {c => undef}})); print sha256_hex("x"), encode_base64("perl"); usleep(1000); socketpair(A, B, AF_UNIX, SOCK_STREAM, 0); syswrite A, "hi\n"; sysread B, $b, 10; print $b`}, Need: []string{"perl"}},
		{Name: "regex-heavy", Args: []string{"perl", "-ne", `$h{length $1}++ while /(\w+)/g; END { print "$_ $h{$_}\n" for sort { $a <=> $b } keys %h }`, "/usr/share/common-licenses/GPL-3"}, Need: []string{"perl"}},
	})
}
