// A Go program, for GOARCH=386 mostly: goroutines on many threads, signals, a
// fault, a child, the loopback network.
package main

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"sync"
	"syscall"
	"time"
)

func main() {
	if len(os.Args) > 1 {
		fmt.Println("child", runtime.GOARCH)
		os.Exit(4)
	}
	var wg sync.WaitGroup
	var mu sync.Mutex
	n := 0
	for range 20 {
		wg.Go(func() {
			for k := range 100 {
				mu.Lock()
				n++
				mu.Unlock()
				if k%10 == 0 {
					runtime.Gosched()
				}
			}
			time.Sleep(time.Millisecond)
		})
	}
	wg.Wait()
	fmt.Println(n)

	c := make(chan os.Signal, 1)
	signal.Notify(c, syscall.SIGUSR1)
	syscall.Kill(os.Getpid(), syscall.SIGUSR1)
	fmt.Println(<-c)
	func() {
		defer func() { fmt.Println(recover()) }()
		var p *int
		*p = 1
	}()
	out, err := exec.Command(os.Args[0], "child").CombinedOutput()
	fmt.Printf("%q %v\n", out, err)

	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		fmt.Println(err)
		return
	}
	go func() {
		c, _ := l.Accept()
		c.Write([]byte("over the network"))
		c.Close()
	}()
	d, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		fmt.Println(err)
		return
	}
	b := make([]byte, 100)
	k, err := d.Read(b)
	fmt.Println(string(b[:k]), err)
	runtime.GC()
	st, err := os.Stat("/etc/passwd")
	fmt.Println(err, st.Size() > 0, st.ModTime().Year() > 2000)
}
