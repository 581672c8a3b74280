// Package waittest has stand-ins for the scheduler: tasks that are goroutines
// under one lock, for tests of what sleeps on wait queues.
package waittest

import (
	"sync"
	"time"

	"github.com/sysemu/sysemu/internal/wait"
)

// Kernel is the kernel lock, and who is asleep under it.
type Kernel struct {
	mu sync.Mutex
	wg sync.WaitGroup
}

// Task implements wait.Task.
type Task struct {
	k           *Kernel
	wake        chan struct{}
	interrupted bool
	interrupt   chan struct{}
}

// NewTask returns a task that the calling goroutine plays; use it inside Do.
func (k *Kernel) NewTask() *Task {
	return &Task{k: k, wake: make(chan struct{}, 1), interrupt: make(chan struct{})}
}

// Do runs f under the kernel lock, as a task's system call.
func (k *Kernel) Do(f func()) {
	k.mu.Lock()
	defer k.mu.Unlock()
	f()
}

// Go runs f as a task of its own, under the lock except while it sleeps.
func (k *Kernel) Go(f func(t *Task)) *Task {
	t := k.NewTask()
	k.wg.Add(1)
	go func() {
		defer k.wg.Done()
		k.Do(func() { f(t) })
	}()
	return t
}

// Wait waits for all tasks begun by Go.
func (k *Kernel) Wait() { k.wg.Wait() }

// Interrupt ends the task's sleeps, from now on, as a signal does.
func (t *Task) Interrupt() { close(t.interrupt) }

// Sleep implements wait.Task.
func (t *Task) Sleep(deadline int64) error {
	t.k.mu.Unlock()
	defer t.k.mu.Lock()
	var timeout <-chan time.Time
	if deadline != 0 {
		timer := time.NewTimer(time.Duration(deadline - t.Now()))
		defer timer.Stop()
		timeout = timer.C
	}
	select {
	case <-t.wake:
		return nil
	case <-timeout:
		return wait.ErrTimedOut
	case <-t.interrupt:
		return wait.ErrInterrupted
	}
}

// SleepKillable implements wait.Task.
func (t *Task) SleepKillable() error {
	t.k.mu.Unlock()
	defer t.k.mu.Lock()
	<-t.wake
	return nil
}

// Wakeup implements wait.Task.
func (t *Task) Wakeup() {
	select {
	case t.wake <- struct{}{}:
	default:
	}
}

// Offload implements wait.Task.
func (t *Task) Offload(f func()) {
	t.k.mu.Unlock()
	defer t.k.mu.Lock()
	f()
}

var start = time.Now()

// Now implements wait.Task.
func (t *Task) Now() int64 { return int64(time.Since(start)) + 1 }
