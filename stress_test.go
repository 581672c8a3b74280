package sysemu

import (
	"bytes"
	"fmt"
	"io"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// cpuTime is what this process and all its children, dead or alive, have used.
func cpuTime() time.Duration {
	var sum time.Duration
	for _, who := range []int{unix.RUSAGE_SELF, unix.RUSAGE_CHILDREN} {
		var ru unix.Rusage
		unix.Getrusage(who, &ru)
		sum += time.Duration(ru.Utime.Nano() + ru.Stime.Nano())
	}
	for _, pid := range hostChildren("self") {
		var ts unix.Timespec
		if unix.ClockGettime(int32(^pid<<3|2), &ts) == nil {
			sum += time.Duration(ts.Nano())
		}
	}
	return sum
}

// A machine whose programs all wait uses no CPU.
func TestIdle(t *testing.T) {
	m := testMachine(t)
	r, w := io.Pipe()
	defer w.Close()
	for _, script := range []string{"exec sleep 60", "sleep 60 | cat", "cat"} {
		c := m.Command("sh", "-c", script)
		c.Stdin = r
		if err := c.Start(); err != nil {
			t.Fatal(err)
		}
	}
	time.Sleep(300 * time.Millisecond)
	d := 3 * time.Second
	if testing.Short() {
		d = time.Second
	}
	before := cpuTime()
	time.Sleep(d)
	if used := cpuTime() - before; used > d/100 {
		t.Errorf("%v of CPU time in %v", used, d)
	}
}

// Programs that only compute all get on, on fewer CPUs than there are of them,
// and leave room for those that sleep.
func TestTimeSlices(t *testing.T) {
	bin := buildC(t, `#include <unistd.h>
int main() { volatile unsigned long n; for (;;) { for (n = 0; n < 2000000; n++) ; write(1, ".", 1); } }`)
	silent := buildC(t, `int main() { for (;;) ; }`)
	for _, cpus := range []int{1, 2, 3} {
		m, err := New(WithCPUs(cpus), WithLog(func(msg string) { t.Error(msg) }))
		if err != nil {
			t.Fatal(err)
		}
		var outs [4]*counter
		for i := range outs {
			outs[i] = &counter{}
			c := m.Command(bin)
			c.Stdout = outs[i]
			if err := c.Start(); err != nil {
				t.Fatal(err)
			}
		}
		for range 2 {
			if err := m.Command(silent).Start(); err != nil {
				t.Fatal(err)
			}
		}
		began := time.Now()
		within(t, 30*time.Second, "a program beside busy ones", func() {
			for range 3 {
				if out, err := m.Command("sh", "-c", "sleep 0.1; echo fine").Output(); string(out) != "fine\n" || err != nil {
					t.Errorf("%q %v", out, err)
				}
			}
		})
		t.Logf("%d CPUs: three programs took %v beside six that compute", cpus, time.Since(began))
		time.Sleep(time.Second)
		var low, high int64 = 1 << 60, 0
		for _, o := range outs {
			low, high = min(low, o.n()), max(high, o.n())
		}
		t.Logf("progress from %d to %d", low, high)
		if low == 0 || low*8 < high {
			t.Errorf("%d CPUs: progress from %d to %d", cpus, low, high)
		}
		closeMachine(t, m)
	}
}

type counter struct {
	mu sync.Mutex
	c  int64
}

func (c *counter) Write(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.c += int64(len(p))
	return len(p), nil
}

func (c *counter) n() int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.c
}

// Many processes and threads that start, talk and end on several CPUs, and
// are moved between them.
func TestManyCPUs(t *testing.T) {
	threads := buildC(t, `#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
static pthread_mutex_t m = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t c = PTHREAD_COND_INITIALIZER;
static long sum, turn;
static void *f(void *x) {
	long me = (long)x;
	for (int i = 0; i < 50; i++) {
		for (volatile int k = 0; k < 20000; k++) ;
		pthread_mutex_lock(&m);
		while (turn % 4 != me) pthread_cond_wait(&c, &m);
		turn++; sum += me;
		pthread_cond_broadcast(&c);
		pthread_mutex_unlock(&m);
	}
	return 0;
}
int main() {
	pthread_t t[4];
	for (long i = 0; i < 4; i++) pthread_create(&t[i], 0, f, (void *)i);
	for (int i = 0; i < 4; i++) pthread_join(t[i], 0);
	printf("%ld %ld\n", sum, turn);
}`)
	script := `
for i in 1 2 3 4 5 6; do
	( j=0; while [ $j -lt 300 ]; do j=$((j+1)); done; echo $i; /bin/true ) &
done
wait
seq 2000 | sort -rn | head -1
` + threads + `
seq 300 | xargs -P 4 -n 20 echo | wc -w
`
	for cpus := 2; cpus <= 4; cpus++ {
		m, err := New(WithCPUs(cpus), WithLog(func(msg string) { t.Error(msg) }))
		if err != nil {
			t.Fatal(err)
		}
		rounds := 4
		if testing.Short() {
			rounds = 1
		}
		var wg sync.WaitGroup
		within(t, 100*time.Second, fmt.Sprint("work on ", cpus, " CPUs"), func() {
			for range 3 {
				wg.Go(func() {
					for range rounds {
						var errs bytes.Buffer
						c := m.Command("sh", "-c", script)
						c.Stderr = &errs
						out, err := c.Output()
						f := strings.Fields(string(out))
						seen := map[string]bool{}
						for i, s := range f {
							if n, err := strconv.Atoi(s); i < 6 && err == nil && n >= 1 && n <= 6 {
								seen[s] = true
							}
						}
						if err != nil || len(seen) != 6 || len(f) != 10 || strings.Join(f[6:], " ") != "2000 300 200 300" || errs.Len() > 0 {
							t.Errorf("%q %q %v", out, errs.String(), err)
							return
						}
					}
				})
			}
			wg.Wait()
		})
		closeMachine(t, m)
	}
}
