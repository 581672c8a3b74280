# Threads that take numbers without a lock, children that race to a pipe, the
# time of day, random numbers, and sleeps: what comes of it is chance.
import os, random, threading, time

order, total = [], 0

def work(name):
    global total
    for _ in range(5):
        seen = total
        time.sleep(random.random() / 100)  # others come in between
        total = seen + 1
        order.append(name)

threads = [threading.Thread(target=work, args=(name,)) for name in "abc"]
for t in threads: t.start()
for t in threads: t.join()
print("threads", "".join(order), "of 15 counted", total)

r, w = os.pipe()
for name in "xyz":
    if os.fork() == 0:
        time.sleep(int.from_bytes(os.urandom(1), "little") / 1000)
        os.write(w, name.encode())
        os._exit(0)
for _ in "xyz": os.wait()
print("children", os.read(r, 3).decode())
print("time", time.time(), "hash", hash("string"))
