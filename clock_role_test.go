package sysemu

import (
	"crypto/rand"
	"fmt"
	mrand "math/rand/v2"
	"os"
	"os/exec"
	"runtime"
	"sync"
	"time"
)

func init() { roles["busy"] = busyProgram }

// busyProgram is a Go program that does much at once: goroutines, timers, garbage, a
// map's order, another process.
func busyProgram() {
	m := map[int]int{}
	var mu sync.Mutex
	var wg sync.WaitGroup
	ticks, done := 0, make(chan struct{})
	ticker := time.NewTicker(3 * time.Millisecond)
	wg.Go(func() {
		for {
			select {
			case <-ticker.C:
				ticks++
			case <-done:
				return
			}
		}
	})
	var workers sync.WaitGroup
	for i := range 4 {
		workers.Go(func() {
			for j := range 8 {
				time.Sleep(time.Duration(mrand.IntN(1000)) * time.Microsecond)
				mu.Lock()
				m[100*i+j] = len(make([]byte, 100000))
				mu.Unlock()
				if j%7 == 0 {
					runtime.GC()
				}
			}
		})
	}
	workers.Wait()
	time.Sleep(100 * time.Millisecond)
	close(done)
	wg.Wait()
	for k := range m {
		fmt.Print(k, " ")
	}
	var b [8]byte
	rand.Read(b[:])
	out, err := exec.Command("sh", "-c", "echo $$; sleep 5").Output()
	fmt.Printf("%x %v %q %v %d\n", b, time.Now(), out, err, os.Getpid())
	fmt.Println(ticks, "ticks")
}
