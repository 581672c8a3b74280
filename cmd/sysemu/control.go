package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/sysemu/sysemu"
)

// controlFile is an ordinary file that is looked at whenever somebody has
// written to it, and then shows what is the case. It is what /proc/sysemu is in
// a machine.
type controlFile struct {
	path   string
	n      *sysemu.Native
	notify *os.File // inotify of its directory: an editor may put another in its place

	mu    sync.Mutex
	shown string
	done  chan struct{}
}

func newControlFile(path string, n *sysemu.Native) (*controlFile, error) {
	// What is there already may be left of one of these, and nothing else.
	if b, err := os.ReadFile(path); err == nil && len(b) > 8 {
		return nil, fmt.Errorf("%s is there already", path)
	} else if err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, plain(err)
	}
	c := &controlFile{path: path, n: n, done: make(chan struct{})}
	fd, err := unix.InotifyInit1(unix.IN_CLOEXEC | unix.IN_NONBLOCK)
	if err != nil {
		return nil, err
	}
	c.notify = os.NewFile(uintptr(fd), "inotify")
	if _, err := unix.InotifyAddWatch(fd, filepath.Dir(path), unix.IN_CLOSE_WRITE|unix.IN_MOVED_TO); err != nil {
		c.notify.Close()
		return nil, fmt.Errorf("%s: %w", filepath.Dir(path), err)
	}
	if err := c.show(); err != nil {
		c.notify.Close()
		return nil, plain(err)
	}
	go c.watch()
	return c, nil
}

func (c *controlFile) close() {
	c.notify.Close()
	<-c.done
	os.Remove(c.path)
}

// show writes what is the case.
func (c *controlFile) show() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	text := strconv.Itoa(int(c.n.Mode()))
	if !c.n.Enabled() {
		text += " off"
	}
	c.shown = text + "\n"
	return os.WriteFile(c.path, []byte(c.shown), 0o600)
}

func (c *controlFile) watch() {
	defer close(c.done)
	var buf [4096]byte
	for {
		k, err := c.notify.Read(buf[:])
		if err != nil {
			return
		}
		ours := false
		for b := buf[:k]; len(b) >= unix.SizeofInotifyEvent; {
			e := (*unix.InotifyEvent)(unsafe.Pointer(&b[0]))
			end := unix.SizeofInotifyEvent + int(e.Len)
			name, _, _ := bytes.Cut(b[unix.SizeofInotifyEvent:end], []byte{0})
			ours = ours || string(name) == filepath.Base(c.path)
			b = b[end:]
		}
		if ours {
			c.look()
		}
	}
}

// look does what has been written: the first byte counts, or the word.
func (c *controlFile) look() {
	b, err := os.ReadFile(c.path)
	c.mu.Lock()
	same := string(b) == c.shown
	c.mu.Unlock()
	if err != nil || same {
		return
	}
	switch word := strings.TrimSpace(string(b)); {
	case word == "on", word == "off":
		c.n.Enable(word == "on")
	case word != "" && b[0] >= '0' && b[0] <= '2':
		c.n.SetMode(sysemu.Mode(b[0] - '0'))
	}
	c.show()
}
