# What a program sees of TeachOS: an ordinary one, with the C library's syscall(2)
# for the calls that no library knows.
import ctypes, errno, os, signal

libc = ctypes.CDLL(None, use_errno=True)

def syscall(*args):
    n = libc.syscall(*(ctypes.c_long(a) if isinstance(a, int) else a for a in args))
    return n if n >= 0 else errno.errorcode[ctypes.get_errno()]

post = lambda text: syscall(1000, text, len(text))

def take():
    buf = ctypes.create_string_buffer(100)
    n = syscall(1001, buf, len(buf))
    return buf.raw[:n].decode() if isinstance(n, int) else n

print("this is", os.uname().sysname, "and I am", os.getpid())

if os.fork() == 0:  # the child answers what the parent asks
    question = os.getpid(), take()
    post(b"%d got: %s" % (question[0], question[1].encode()))
    os._exit(0)
print("post:", post(b"hello?"))
os.wait()
print("take:", take())

# What a kernel must withstand, and what it must give back.
print("no such memory:", syscall(1000, 1, 10))
print("too long:", post(b"x" * 5000))
print("full:", post(b"1"), post(b"2"), post(b"3"))
print("in order:", take(), take())
print("no such call:", syscall(1002))
def alarm(*_): raise TimeoutError
signal.signal(signal.SIGALRM, alarm)
signal.setitimer(signal.ITIMER_REAL, 0.01)
try: print("interrupted:", take())
except TimeoutError: print("interrupted by the alarm")
